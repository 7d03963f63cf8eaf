"""What scripts that drive a gateway with SDKs share: what they ask, what replay_formats.py answers, and the report."""

import json
import traceback

TEXT = "Hello from upstream"
INPUT = {"city": "Zürich", "days": 2}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
MODELS = ["gpt", "claude", "gemini", "bedrock", "cohere", "ollama"]
results = {}
calls = 0


def check(name, function, count=1):
    """Runs `function`, which makes `count` calls that are answered."""
    global calls
    try:
        function()
        results[name] = "ok"
    except Exception:
        results[name] = traceback.format_exc()
    calls += count


def raises(kind, call):
    try:
        call()
    except kind as error:
        assert type(error) is kind, type(error)
        return error
    raise AssertionError(f"no {kind.__name__}")


def report():
    """The last line: {"checks": {name: "ok" or what went wrong}, "calls": number of calls that were answered}."""
    print(json.dumps({"checks": results, "calls": calls}))

"""Drives a gateway with the official `openai` SDK, 2.x or 3.x, and says for each check whether it held.

Arguments: base address without /v1, virtual key, master key. The last line printed is
{"checks": {name: "ok" or what went wrong}, "keys": SHA-256 of each key that a check made and was served with}.
The models named here are scripts of the scripted upstream (OpenAISDKTests.swift).
"""

import asyncio
import hashlib
import json
import sys
import traceback

import openai
from openai import AsyncOpenAI, AzureOpenAI, OpenAI

ADDRESS, KEY = sys.argv[1], sys.argv[2]
# Without it, checks that need keys of their own are left out.
MASTER_KEY = sys.argv[3] if len(sys.argv) > 3 else None
MESSAGES = [{"role": "user", "content": "Say hello."}]
# No retries by the SDK: each call here is one call at the gateway, so that the ledger can be counted.
OPTIONS = {"api_key": KEY, "base_url": ADDRESS + "/v1", "max_retries": 0, "timeout": 30}
checks = {}
served_keys = set()


def check(function):
    """Runs a check at once, in order; its name is what the report shows."""
    name = function.__name__
    if name.startswith("refused_") and MASTER_KEY is None:
        return
    try:
        if asyncio.iscoroutinefunction(function):
            asyncio.run(function())
        else:
            function()
        checks[name] = "ok"
    except Exception:
        checks[name] = traceback.format_exc()
    return function


class Served(AssertionError):
    """A call that should have been refused was served."""


def raises(kind, status, call):
    """The SDK must raise exactly this kind of error, with a message and the call's id."""
    try:
        call()
    except kind as error:
        assert type(error) is kind, type(error)
        assert error.status_code == status, error.status_code
        assert error.body and error.body.get("message"), error.body
        return error
    raise Served(f"no {kind.__name__}")


client = OpenAI(**OPTIONS)


@check
def chat():
    answer = client.chat.completions.create(model="plain", messages=MESSAGES, user="chat")
    assert answer.choices[0].message.content == "Hello from upstream", answer
    assert answer.usage.prompt_tokens >= 1000 and answer.usage.completion_tokens == 11, answer.usage


@check
async def chat_async():
    async with AsyncOpenAI(**OPTIONS) as each:
        answer = await each.chat.completions.create(model="plain", messages=MESSAGES, user="chat_async")
    assert answer.choices[0].message.content == "Hello from upstream", answer


@check
def chat_with_details():
    answer = client.chat.completions.create(model="detailed", messages=MESSAGES, user="chat_with_details")
    assert answer.usage.prompt_tokens_details.cached_tokens == 500, answer.usage
    assert answer.usage.completion_tokens_details.reasoning_tokens == 7, answer.usage


@check
def chunked_answer():
    answer = client.chat.completions.create(model="chunked", messages=MESSAGES, user="chunked_answer")
    assert answer.choices[0].message.content == "Hello from upstream", answer


@check
def stream():
    """Usage was not asked for, so the caller must not see the chunk that the gateway asks for itself."""
    text, finish = "", None
    for chunk in client.chat.completions.create(model="stream", messages=MESSAGES, user="stream", stream=True):
        assert len(chunk.choices) == 1, chunk
        assert chunk.usage is None, chunk
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    assert text == "ttttt" * 20 and finish == "stop", (text, finish)


@check
def stream_with_usage():
    chunks = list(
        client.chat.completions.create(
            model="stream", messages=MESSAGES, user="stream_with_usage", stream=True,
            stream_options={"include_usage": True},
        )
    )
    usage = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usage) == 1 and usage[0].completion_tokens == 20, usage
    assert chunks[-1].choices == [], chunks[-1]


@check
async def stream_async():
    async with AsyncOpenAI(**OPTIONS) as each:
        text = ""
        async for chunk in await each.chat.completions.create(
            model="stream", messages=MESSAGES, user="stream_async", stream=True
        ):
            text += chunk.choices[0].delta.content or ""
    assert text == "ttttt" * 20, text


@check
async def many_at_once():
    async with AsyncOpenAI(**OPTIONS) as each:

        async def one(number):
            if number % 2:
                answer = await each.chat.completions.create(model="plain", messages=MESSAGES, user="many_at_once")
                return answer.choices[0].message.content == "Hello from upstream"
            text = ""
            async for chunk in await each.chat.completions.create(
                model="stream", messages=MESSAGES, user="many_at_once", stream=True
            ):
                text += chunk.choices[0].delta.content or ""
            return text == "ttttt" * 20

        assert all(await asyncio.gather(*[one(number) for number in range(40)]))


@check
def cancelled_stream():
    """Leaves after three events; the rest would only come when the test opens the gate."""
    answer = client.chat.completions.create(model="held", messages=MESSAGES, user="cancelled_stream", stream=True)
    for number, chunk in enumerate(answer):
        assert chunk.choices[0].delta.content == "ttttt", chunk
        if number == 2:
            break
    answer.close()


@check
async def cancelled_stream_async():
    async with AsyncOpenAI(**OPTIONS) as each:

        async def reading(seen):
            async for _ in await each.chat.completions.create(
                model="held", messages=MESSAGES, user="cancelled_stream_async", stream=True
            ):
                seen.append(1)
                if len(seen) == 3:
                    event.set()

        seen, event = [], asyncio.Event()
        task = asyncio.create_task(reading(seen))
        await asyncio.wait_for(event.wait(), 20)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        assert len(seen) == 3, seen


@check
def cut_stream():
    """A stream that the upstream cuts must be an error for the caller, never a clean end."""
    seen = 0
    try:
        for _ in client.chat.completions.create(model="cut", messages=MESSAGES, user="cut_stream", stream=True):
            seen += 1
    except Exception:  # an error event is an APIError, an aborted connection the HTTP library's own
        assert seen >= 3, seen
        return
    raise AssertionError("the cut stream ended like a whole one")


@check
def completion():
    answer = client.completions.create(model="plain", prompt="Say hello.", user="completion")
    assert answer.choices[0].text == "Hello from upstream", answer
    text = "".join(
        chunk.choices[0].text
        for chunk in client.completions.create(model="stream", prompt="Say", user="completion", stream=True)
    )
    assert text == "ttttt" * 20, text


@check
def embeddings():
    """The SDK asks for base64 by itself and decodes it; asked for floats it gets floats."""
    answer = client.embeddings.create(model="plain", input=["a", "b"], user="embeddings")
    assert [item.embedding for item in answer.data] == [[0.25, -0.5]] * 2, answer
    answer = client.embeddings.create(model="plain", input="a", user="embeddings", encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5], answer
    assert answer.usage.prompt_tokens >= 1000, answer.usage


@check
async def embeddings_async():
    async with AsyncOpenAI(**OPTIONS) as each:
        answer = await each.embeddings.create(model="plain", input=["a"], user="embeddings_async")
    assert answer.data[0].embedding == [0.25, -0.5], answer


@check
def models():
    names = {model.id for model in client.models.list()}
    assert {"plain", "stream", "held"} <= names, names
    assert client.models.retrieve("plain").id == "plain"


@check
def raw_response_headers():
    raw = client.chat.completions.with_raw_response.create(
        model="plain", messages=MESSAGES, user="raw_response_headers"
    )
    assert raw.parse().choices[0].message.content == "Hello from upstream"
    headers = raw.headers
    assert len(headers["x-litellm-call-id"]) == 36, headers
    for name in ["x-litellm-model-id", "x-litellm-key-spend", "x-litellm-response-duration-ms"]:
        assert headers.get(name), (name, headers)
    tokens = raw.parse().usage
    expected = tokens.prompt_tokens * 1e-6 + tokens.completion_tokens * 2e-6
    assert abs(float(headers["x-litellm-response-cost"]) - expected) < 1e-9, (headers, expected)
    assert float(headers["x-litellm-overhead-duration-ms"]) >= 0, headers
    assert headers["llm_provider-x-ratelimit-remaining-requests"] == "42", headers


@check
def bad_key():
    other = OpenAI(**{**OPTIONS, "api_key": "sk-nobody-has-this-key"})
    raises(
        openai.AuthenticationError, 401, lambda: other.chat.completions.create(model="plain", messages=MESSAGES)
    )


@check
def unknown_model():
    error = raises(
        openai.BadRequestError, 400,
        lambda: client.chat.completions.create(model="no-such-model", messages=MESSAGES),
    )
    assert "no-such-model" in error.body["message"], error.body


@check
def missing_model():
    raises(
        openai.BadRequestError, 400,
        lambda: client.post("/chat/completions", body={"messages": MESSAGES}, cast_to=object),
    )


@check
def upstream_429():
    error = raises(
        openai.RateLimitError, 429,
        lambda: client.chat.completions.create(model="limited", messages=MESSAGES, user="upstream_429"),
    )
    assert error.response.headers.get("retry-after") == "7", error.response.headers


@check
def upstream_500():
    raises(
        openai.InternalServerError, 500,
        lambda: client.chat.completions.create(model="failing", messages=MESSAGES, user="upstream_500"),
    )


@check
def upstream_400():
    raises(
        openai.BadRequestError, 400,
        lambda: client.chat.completions.create(model="refusing", messages=MESSAGES, user="upstream_400"),
    )


@check
def upstream_429_on_a_stream():
    raises(
        openai.RateLimitError, 429,
        lambda: client.chat.completions.create(
            model="limited", messages=MESSAGES, user="upstream_429_on_a_stream", stream=True
        ),
    )


@check
def azure_client():
    azure = AzureOpenAI(
        azure_endpoint=ADDRESS, api_key=KEY, api_version="2024-10-21", max_retries=0, timeout=30
    )
    answer = azure.chat.completions.create(model="plain", messages=MESSAGES, user="azure_client")
    assert answer.choices[0].message.content == "Hello from upstream", answer
    text = "".join(
        chunk.choices[0].delta.content or ""
        for chunk in azure.chat.completions.create(
            model="stream", messages=MESSAGES, user="azure_client", stream=True
        )
    )
    assert text == "ttttt" * 20, text
    answer = azure.embeddings.create(model="plain", input="a", user="azure_client")
    assert answer.data[0].embedding == [0.25, -0.5], answer


@check
def unicode_survives():
    text = "Zażółć gęślą jaźń 漢字 🦅 \u2028 \x00"
    client.chat.completions.create(
        model="plain", messages=[{"role": "user", "content": text}], user="unicode_survives"
    )


# What the gateway itself refuses: callers tell these apart by the exception's class, and wait as long as it says.


def manage(path, **fields):
    """A call of the management API as the admin."""
    admin = OpenAI(**{**OPTIONS, "api_key": MASTER_KEY, "base_url": ADDRESS})
    return admin.post(path, body=fields, cast_to=object)


def made_key(**fields):
    return manage("/key/generate", **fields)["key"]


def call_with(key, user, model="plain", **fields):
    other = OpenAI(**{**OPTIONS, "api_key": key})
    answer = other.chat.completions.create(model=model, messages=MESSAGES, user=user, **fields)
    served_keys.add(hashlib.sha256(key.encode()).hexdigest())
    return answer


def refused(kind, status, type, key, user, **fields):
    """The error must be of this class, status and type."""
    error = raises(kind, status, lambda: call_with(key, user, **fields))
    assert error.type == type and error.body["type"] == type, error.body
    assert error.body["code"] == str(status), error.body
    return error


def served_until_refused(kind, status, type, key, user):
    """The first call is served and one of the next is refused: not surely the second, as a minute may end between them
    and calls are admitted by what they are expected to use.
    """
    call_with(key, user)
    for _ in range(5):
        try:
            return refused(kind, status, type, key, user)
        except Served:
            continue
    raise AssertionError(f"no {kind.__name__} after six calls")


def waits(error, seconds_max):
    seconds = int(error.response.headers["retry-after"])
    assert 1 <= seconds <= seconds_max, seconds


@check
def refused_spent_budget():
    """A budget for good says no time at which to try again; one of a day does."""
    kind = openai.UnprocessableEntityError
    key = made_key(max_budget=0.002, key_alias="spent")
    error = served_until_refused(kind, 422, "budget_exceeded", key, "refused_spent_budget")
    assert "Budget has been exceeded!" in error.body["message"] and "0.002" in error.body["message"], error.body
    assert "retry-after" not in error.response.headers, error.response.headers
    key = made_key(max_budget=0.002, budget_duration="1d")
    waits(served_until_refused(kind, 422, "budget_exceeded", key, "refused_spent_budget"), 86400)
    refused(kind, 422, "budget_exceeded", key, "refused_spent_budget", stream=True)


@check
def refused_spent_budget_of_a_team():
    manage("/team/new", team_id="spent-team", max_budget=0.002)
    key = made_key(team_id="spent-team")
    error = served_until_refused(
        openai.UnprocessableEntityError, 422, "budget_exceeded", key, "refused_spent_budget_of_a_team"
    )
    assert "spent-team" in error.body["message"], error.body


@check
def refused_requests_a_minute():
    key = made_key(rpm_limit=1)
    error = served_until_refused(openai.RateLimitError, 429, "throttling_error", key, "refused_requests_a_minute")
    waits(error, 60)
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0", error.response.headers


@check
def refused_tokens_a_minute():
    key = made_key(tpm_limit=1500)
    error = served_until_refused(openai.RateLimitError, 429, "throttling_error", key, "refused_tokens_a_minute")
    waits(error, 60)
    assert error.response.headers["x-ratelimit-limit-tokens"] == "1500", error.response.headers


@check
def refused_parallel_requests():
    """The one place is taken by a stream that waits."""
    key = made_key(max_parallel_requests=1)
    running = call_with(key, "refused_parallel_requests", model="held", stream=True)
    next(iter(running))
    waits(refused(openai.RateLimitError, 429, "throttling_error", key, "refused_parallel_requests"), 1)
    running.close()


@check
def refused_blocked_key():
    key = made_key()
    call_with(key, "refused_blocked_key")
    manage("/key/block", key=key)
    refused(openai.AuthenticationError, 401, "auth_error", key, "refused_blocked_key")


@check
def refused_blocked_team():
    manage("/team/new", team_id="blocked-team")
    key = made_key(team_id="blocked-team")
    call_with(key, "refused_blocked_team")
    manage("/team/block", team_id="blocked-team")
    refused(openai.AuthenticationError, 401, "auth_error", key, "refused_blocked_team")
    manage("/team/unblock", team_id="blocked-team")
    call_with(key, "refused_blocked_team")


@check
def refused_model():
    """By the key's list, and by the team's; a model that nobody has is another error (unknown_model)."""
    key = made_key(models=["detailed"])
    error = refused(openai.PermissionDeniedError, 403, "key_model_access_denied", key, "refused_model")
    assert error.param == "model", error.body
    manage("/team/new", team_id="narrow-team", models=["detailed"])
    key = made_key(team_id="narrow-team")
    refused(openai.PermissionDeniedError, 403, "team_model_access_denied", key, "refused_model")


@check
def refused_route():
    key = made_key(key_type="management")
    refused(openai.PermissionDeniedError, 403, "auth_error", key, "refused_route")


@check
def refused_unknown_key():
    error = refused(
        openai.AuthenticationError, 401, "token_not_found_in_db", "sk-nobody-has-this-key", "refused_unknown_key"
    )
    assert "nobody" not in error.body["message"], error.body


@check
async def refused_async():
    """The asynchronous client sees the same, before the first chunk of a stream, too."""
    key = made_key(rpm_limit=0)
    async with AsyncOpenAI(**{**OPTIONS, "api_key": key}) as each:
        for is_stream in [False, True]:
            try:
                await each.chat.completions.create(
                    model="plain", messages=MESSAGES, user="refused_async", stream=is_stream
                )
            except openai.RateLimitError as error:
                waits(error, 60)
            else:
                raise AssertionError("no RateLimitError")


print(json.dumps({"version": openai.__version__, "checks": checks, "keys": sorted(served_keys)}))

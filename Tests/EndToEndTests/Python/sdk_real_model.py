"""Talks through a gateway to a real model with the official SDKs; prints the usage of each answer as the SDK saw it.

Arguments: base address without /v1, virtual key, chat model, embedding model, the chat model by Anthropic's API.
The last line is {"calls": [{"kind", "call_id", "prompt_tokens", "completion_tokens", "text"}]}.
"""

import asyncio
import json
import sys

from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI

ADDRESS, KEY, MODEL, EMBEDDING_MODEL, ANTHROPIC_MODEL = sys.argv[1:6]
OPTIONS = {"api_key": KEY, "base_url": ADDRESS + "/v1", "max_retries": 0, "timeout": 120}
MESSAGES = [{"role": "user", "content": "Name three birds."}]
calls = []


def note(kind, call_id, usage, text):
    calls.append(
        {
            "kind": kind, "call_id": call_id, "prompt_tokens": usage.prompt_tokens if usage else -1,
            "completion_tokens": getattr(usage, "completion_tokens", 0) if usage else -1, "text": text,
        }
    )


def note_other(kind, call_id, usage, text):
    """Of the APIs that say input and output. What was read from the cache is a part of a prompt in the ledger."""
    prompt = usage.input_tokens + (getattr(usage, "cache_read_input_tokens", 0) or 0)
    calls.append(
        {
            "kind": kind, "call_id": call_id, "prompt_tokens": prompt, "completion_tokens": usage.output_tokens,
            "text": text,
        }
    )


client = OpenAI(**OPTIONS)

raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=32, temperature=0)
answer = raw.parse()
note("chat", raw.headers["x-litellm-call-id"], answer.usage, answer.choices[0].message.content)

raw = client.chat.completions.with_raw_response.create(
    model=MODEL, messages=MESSAGES, max_tokens=32, temperature=0, stream=True, stream_options={"include_usage": True}
)
text, usage = "", None
for chunk in raw.parse():
    if chunk.choices:
        text += chunk.choices[0].delta.content or ""
    usage = chunk.usage or usage
note("stream", raw.headers["x-litellm-call-id"], usage, text)

# Usage not asked for: the caller sees none, the ledger has it all the same.
raw = client.chat.completions.with_raw_response.create(
    model=MODEL, messages=MESSAGES, max_tokens=32, temperature=0, stream=True
)
text = ""
for chunk in raw.parse():
    assert chunk.usage is None and len(chunk.choices) == 1, chunk
    text += chunk.choices[0].delta.content or ""
note("quiet_stream", raw.headers["x-litellm-call-id"], None, text)

raw = client.completions.with_raw_response.create(model=MODEL, prompt="The swift is a", max_tokens=16, temperature=0)
answer = raw.parse()
note("completion", raw.headers["x-litellm-call-id"], answer.usage, answer.choices[0].text)

raw = client.embeddings.with_raw_response.create(model=EMBEDDING_MODEL, input=["a swift", "a martlet"])
answer = raw.parse()
assert len(answer.data) == 2 and len(answer.data[0].embedding) > 100, answer
note("embedding", raw.headers["x-litellm-call-id"], answer.usage, "")

raw = client.responses.with_raw_response.create(model=MODEL, input="Name three birds.", max_output_tokens=32)
answer = raw.parse()
note_other("responses", raw.headers["x-litellm-call-id"], answer.usage, answer.output_text)
assert answer.output_text, answer

messages = Anthropic(api_key=KEY, base_url=ADDRESS, max_retries=0, timeout=120).messages
for model in (MODEL, ANTHROPIC_MODEL):
    raw = messages.with_raw_response.create(model=model, messages=MESSAGES, max_tokens=32)
    answer = raw.parse()
    assert answer.content[0].text, answer
    note_other(f"messages {model}", raw.headers["x-litellm-call-id"], answer.usage, answer.content[0].text)
    with messages.stream(model=model, messages=MESSAGES, max_tokens=32) as stream:
        answer = stream.get_final_message()
        assert answer.content[0].text, answer
        call_id = stream.response.headers["x-litellm-call-id"]
        note_other(f"messages stream {model}", call_id, answer.usage, answer.content[0].text)

raw = client.chat.completions.with_raw_response.create(model=ANTHROPIC_MODEL, messages=MESSAGES, max_tokens=32)
answer = raw.parse()
note("chat by Anthropic's API", raw.headers["x-litellm-call-id"], answer.usage, answer.choices[0].message.content)


async def several():
    async with AsyncOpenAI(**OPTIONS) as each:

        async def one(number):
            raw = await each.chat.completions.with_raw_response.create(
                model=MODEL, messages=[{"role": "user", "content": f"Count to {number}."}], max_tokens=16
            )
            answer = raw.parse()
            note("async_chat", raw.headers["x-litellm-call-id"], answer.usage, answer.choices[0].message.content)

        await asyncio.gather(*[one(number) for number in range(2, 6)])


asyncio.run(several())
print(json.dumps({"calls": calls}))

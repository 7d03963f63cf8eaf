"""Drives a gateway with the official `openai` and `anthropic` SDKs, each to providers of all formats.

Arguments: the gateway's address, a virtual key, the address of replay_formats.py.
"""

import json
import sys

import anthropic
import openai

from sdk_checks import INPUT, MODELS, SCHEMA, TEXT, check, raises, report

GATEWAY, KEY, REPLAY = sys.argv[1:4]
MESSAGES = [{"role": "user", "content": "Say hello."}]
CHAT_TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}}]
TOOLS = [{"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}]

chat = openai.OpenAI(api_key=KEY, base_url=GATEWAY + "/v1", max_retries=0, timeout=30)
messages = anthropic.Anthropic(api_key=KEY, base_url=GATEWAY, max_retries=0, timeout=30)


def chat_text(model):
    answer = chat.chat.completions.create(model=model, messages=MESSAGES)
    choice = answer.choices[0]
    assert choice.message.content == TEXT and choice.finish_reason == "stop", answer
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (30, 5), answer.usage


def chat_stream(model):
    options = {"include_usage": True}
    chunks = list(chat.chat.completions.create(model=model, messages=MESSAGES, stream=True, stream_options=options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == TEXT, chunks
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop", chunks
    assert chunks[-1].usage.total_tokens == 35 and chunks[-1].choices == [], chunks[-1]


def chat_tool(model):
    answer = chat.chat.completions.create(model=model, messages=MESSAGES, tools=CHAT_TOOLS)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments) == INPUT, answer
    assert call.id and answer.choices[0].finish_reason == "tool_calls", answer
    # What the model said goes back with the result.
    history = MESSAGES + [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    chat.chat.completions.create(model=model, messages=history, tools=CHAT_TOOLS)


def chat_tool_stream(model):
    name, arguments = "", ""
    for chunk in chat.chat.completions.create(model=model, messages=MESSAGES, tools=CHAT_TOOLS, stream=True):
        assert chunk.usage is None
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    assert name == "weather" and json.loads(arguments) == INPUT, (name, arguments)


def responses_text(model):
    answer = chat.responses.create(model=model, input="Say hello.")
    assert answer.output_text == TEXT and answer.status == "completed", answer
    assert answer.usage.total_tokens == 35, answer.usage


def responses_stream(model):
    with chat.responses.stream(model=model, input="Say hello.") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert text == TEXT and stream.get_final_response().output_text == TEXT


def message_text(model):
    answer = messages.messages.create(model=model, max_tokens=64, messages=MESSAGES)
    assert answer.content[0].text == TEXT and answer.stop_reason == "end_turn", answer
    usage = answer.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == 30 and usage.output_tokens == 5, usage


def message_stream(model):
    with messages.messages.stream(model=model, max_tokens=64, messages=MESSAGES) as stream:
        assert "".join(stream.text_stream) == TEXT
        answer = stream.get_final_message()
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens == 5, answer


def message_tool(model):
    answer = messages.messages.create(model=model, max_tokens=64, messages=MESSAGES, tools=TOOLS)
    block = answer.content[-1]
    assert block.type == "tool_use" and block.name == "weather" and block.input == INPUT, answer
    assert answer.stop_reason == "tool_use", answer
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
    history = MESSAGES + [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    messages.messages.create(model=model, max_tokens=64, messages=history, tools=TOOLS)


def message_tool_stream(model):
    with messages.messages.stream(model=model, max_tokens=64, messages=MESSAGES, tools=TOOLS) as stream:
        answer = stream.get_final_message()
    block = answer.content[-1]
    assert block.type == "tool_use" and block.input == INPUT and answer.stop_reason == "tool_use", answer


def chat_same_as_direct():
    """Of one format, the SDK gets what it would have got without a gateway."""
    direct = openai.OpenAI(api_key="x", base_url=REPLAY + "/v1", max_retries=0)
    request = {"model": "gpt", "messages": MESSAGES, "tools": CHAT_TOOLS}
    answers = [each.chat.completions.create(**request).model_dump() for each in (chat, direct)]
    assert answers[0] == answers[1], answers
    request |= {"stream": True, "stream_options": {"include_usage": True}}
    events = [list(each.chat.completions.create(**request)) for each in (chat, direct)]
    assert events[0] == events[1], events


def message_same_as_direct():
    direct = anthropic.Anthropic(api_key="x", base_url=REPLAY, max_retries=0)
    request = {"model": "claude", "max_tokens": 64, "messages": MESSAGES, "tools": TOOLS}
    assert messages.messages.create(**request).model_dump() == direct.messages.create(**request).model_dump()
    events = [list(each.messages.create(**request, stream=True)) for each in (messages, direct)]
    assert events[0] == events[1], events


def chat_limited():
    create = chat.chat.completions.create
    error = raises(openai.RateLimitError, lambda: create(model="limited-claude", messages=MESSAGES))
    assert error.response.headers["retry-after"] == "7" and error.body["message"] == "too fast", error.body


def message_limited():
    create = messages.messages.create
    error = raises(
        anthropic.RateLimitError, lambda: create(model="limited-gpt", max_tokens=64, messages=MESSAGES))
    assert error.response.headers["retry-after"] == "7", error.response.headers
    assert error.body["error"] == {"type": "rate_limit_error", "message": "too fast"}, error.body


def message_refused():
    create = messages.messages.create
    error = raises(anthropic.BadRequestError, lambda: create(model="none", max_tokens=64, messages=MESSAGES))
    assert error.body["error"]["type"] == "invalid_request_error", error.body
    stranger = anthropic.Anthropic(api_key="sk-wrong", base_url=GATEWAY, max_retries=0)
    create = stranger.messages.create
    error = raises(anthropic.AuthenticationError, lambda: create(model="gpt", max_tokens=64, messages=MESSAGES))
    assert error.body["error"]["type"] == "authentication_error", error.body


def chat_inexpressible():
    create = chat.chat.completions.create
    error = raises(openai.BadRequestError, lambda: create(model="claude", messages=MESSAGES, n=2))
    assert error.param == "n", error.body


for model in MODELS:
    check(f"chat_text {model}", lambda: chat_text(model))
    check(f"chat_stream {model}", lambda: chat_stream(model))
    check(f"chat_tool {model}", lambda: chat_tool(model), 2)
    check(f"chat_tool_stream {model}", lambda: chat_tool_stream(model))
    check(f"message_text {model}", lambda: message_text(model))
    check(f"message_stream {model}", lambda: message_stream(model))
    check(f"message_tool {model}", lambda: message_tool(model), 2)
    check(f"message_tool_stream {model}", lambda: message_tool_stream(model))
    if model not in ("gpt", "ollama"):
        # OpenAI's own Responses go straight through, and the replay has none.
        check(f"responses_text {model}", lambda: responses_text(model))
        check(f"responses_stream {model}", lambda: responses_stream(model))
check("chat_same_as_direct", chat_same_as_direct, 2)
check("message_same_as_direct", message_same_as_direct, 2)
check("chat_limited", chat_limited, 0)
check("message_limited", message_limited, 0)
check("message_refused", message_refused, 0)
check("chat_inexpressible", chat_inexpressible, 0)
report()

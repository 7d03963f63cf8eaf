"""Drives a gateway with the clients of other makers: Google's, AWS's (and Claude's there), Azure's, Cohere's, Ollama's.

Arguments: the gateway's address, a virtual key, the address of replay_formats.py.
"""

import json
import sys

import anthropic
import boto3
import cohere
import ollama
import openai
from botocore.config import Config
from botocore.exceptions import ClientError
from google import genai
from google.genai import errors, types

from sdk_checks import INPUT, MODELS, SCHEMA, TEXT, check, raises, report

GATEWAY, KEY, REPLAY = sys.argv[1:4]
MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}}]

# Google's.


def google(version, address=GATEWAY):
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=address, api_version=version))


GOOGLE = {version: google(version) for version in ("v1beta", "v1", "v1alpha", "v1beta1")}
DECLARATION = types.FunctionDeclaration(name="weather", description="Tells it.", parameters_json_schema=SCHEMA)
SETTINGS = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[DECLARATION])], temperature=0.2, max_output_tokens=64,
    system_instruction="Be kind.")


def google_text(models, model):
    answer = models.generate_content(model=model, contents="Say hello.")
    assert answer.text == TEXT and answer.usage_metadata.total_token_count == 35, answer


def google_stream(models, model):
    pieces = [piece.text or "" for piece in models.generate_content_stream(model=model, contents="Say hello.")]
    assert "".join(pieces) == TEXT and len(pieces) > 1, pieces


def google_tool(models, model):
    answer = models.generate_content(model=model, contents="Say hello.", config=SETTINGS)
    call = answer.function_calls[0]
    assert call.name == "weather" and call.args == INPUT, answer
    result = types.Part.from_function_response(name="weather", response={"sky": "sunny"})
    history = [
        types.Content(role="user", parts=[types.Part(text="Say hello.")]), answer.candidates[0].content,
        types.Content(role="user", parts=[result]),
    ]
    models.generate_content(model=model, contents=history, config=SETTINGS)


def google_tool_stream(models, model):
    stream = models.generate_content_stream(model=model, contents="Say hello.", config=SETTINGS)
    calls = [call for piece in stream for call in piece.function_calls or []]
    assert [call.args for call in calls] == [INPUT], calls


def google_unknown():
    models = GOOGLE["v1beta"].models
    error = raises(errors.ClientError, lambda: models.generate_content(model="none", contents="Say hello."))
    assert error.code == 400 and error.status == "INVALID_ARGUMENT", error


def google_same_as_direct():
    """Of one format, the SDK gets what it would have got without a gateway; so in all that are named like this."""
    direct = google("v1beta", REPLAY)

    def answers(client):
        request = {"model": "gemini", "contents": "Say hello.", "config": SETTINGS}
        given = [client.models.generate_content(**request), *client.models.generate_content_stream(**request)]
        return [answer.model_dump(exclude={"sdk_http_response"}) for answer in given]

    given = [answers(client) for client in (GOOGLE["v1beta"], direct)]
    assert given[0] == given[1], given


check("google same as direct", google_same_as_direct, 2)
for version, client in GOOGLE.items():
    for model in MODELS if version == "v1beta" else MODELS[:1]:
        check(f"google {version} text {model}", lambda: google_text(client.models, model))
        check(f"google {version} stream {model}", lambda: google_stream(client.models, model))
for model in MODELS:
    check(f"google tool {model}", lambda: google_tool(GOOGLE["v1beta"].models, model), 2)
    check(f"google tool stream {model}", lambda: google_tool_stream(GOOGLE["v1beta"].models, model))
check("google unknown", google_unknown, 0)

# AWS's: over plain HTTP it signs, and the virtual key is the access key.



def bedrock(address):
    return boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=address, aws_access_key_id=KEY,
        aws_secret_access_key="anything", config=Config(retries={"max_attempts": 1}))


BEDROCK = bedrock(GATEWAY)
TURN = {"role": "user", "content": [{"text": "Say hello."}]}
SPECIFICATION = {"name": "weather", "description": "Tells it.", "inputSchema": {"json": SCHEMA}}
TOOL_CONFIG = {"tools": [{"toolSpec": SPECIFICATION}]}


def bedrock_text(model):
    answer = BEDROCK.converse(modelId=model, messages=[TURN], inferenceConfig={"maxTokens": 64})
    assert answer["output"]["message"]["content"] == [{"text": TEXT}], answer
    assert answer["stopReason"] == "end_turn" and answer["usage"]["outputTokens"] == 5, answer


def bedrock_deltas(model, **others):
    events = list(BEDROCK.converse_stream(modelId=model, messages=[TURN], **others)["stream"])
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 5, events
    return [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]


def bedrock_stream(model):
    deltas = bedrock_deltas(model)
    assert "".join(delta["text"] for delta in deltas) == TEXT and len(deltas) > 1, deltas


def bedrock_tool(model):
    answer = BEDROCK.converse(modelId=model, messages=[TURN], toolConfig=TOOL_CONFIG)
    said = answer["output"]["message"]
    use = said["content"][-1]["toolUse"]
    assert use["input"] == INPUT and answer["stopReason"] == "tool_use", answer
    result = {"toolUseId": use["toolUseId"], "content": [{"text": "sunny"}]}
    history = [TURN, said, {"role": "user", "content": [{"toolResult": result}]}]
    BEDROCK.converse(modelId=model, messages=history, toolConfig=TOOL_CONFIG)


def bedrock_tool_stream(model):
    deltas = bedrock_deltas(model, toolConfig=TOOL_CONFIG)
    text = "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta)
    assert json.loads(text) == INPUT, deltas


def bedrock_same_as_direct():
    def answers(client):
        request = {"modelId": "bedrock", "messages": [TURN], "toolConfig": TOOL_CONFIG}
        answer = client.converse(**request)
        del answer["ResponseMetadata"]
        return [answer, *client.converse_stream(**request)["stream"]]

    given = [answers(client) for client in (BEDROCK, bedrock(REPLAY))]
    assert given[0] == given[1], given


def bedrock_unknown():
    error = raises(BEDROCK.exceptions.ValidationException, lambda: BEDROCK.converse(modelId="none", messages=[TURN]))
    assert isinstance(error, ClientError) and "none" in error.response["Error"]["Message"], error


for model in MODELS:
    check(f"bedrock text {model}", lambda: bedrock_text(model))
    check(f"bedrock stream {model}", lambda: bedrock_stream(model))
    check(f"bedrock tool {model}", lambda: bedrock_tool(model), 2)
    check(f"bedrock tool stream {model}", lambda: bedrock_tool_stream(model))
check("bedrock same as direct", bedrock_same_as_direct, 2)
check("bedrock unknown", bedrock_unknown, 0)

# Anthropic's for Bedrock.

claude = anthropic.AnthropicBedrock(
    base_url=GATEWAY, aws_access_key=KEY, aws_secret_key="anything", aws_region="us-east-1", max_retries=0)
CLAUDE_TOOLS = [{"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}]


def invoke_text(model):
    answer = claude.messages.create(model=model, max_tokens=64, messages=MESSAGES)
    assert answer.content[0].text == TEXT and answer.stop_reason == "end_turn", answer
    usage = answer.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == 30 and usage.output_tokens == 5, usage


def invoke_stream(model):
    with claude.messages.stream(model=model, max_tokens=64, messages=MESSAGES) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert "".join(pieces) == TEXT and len(pieces) > 1 and answer.usage.output_tokens == 5, (pieces, answer)


def invoke_tool_stream(model):
    with claude.messages.stream(model=model, max_tokens=64, messages=MESSAGES, tools=CLAUDE_TOOLS) as stream:
        answer = stream.get_final_message()
    assert answer.content[-1].input == INPUT and answer.stop_reason == "tool_use", answer


def invoke_unknown():
    create = claude.messages.create
    error = raises(anthropic.BadRequestError, lambda: create(model="none", max_tokens=64, messages=MESSAGES))
    assert "none" in error.body["message"], error.body


for model in MODELS:
    check(f"invoke text {model}", lambda: invoke_text(model))
    check(f"invoke stream {model}", lambda: invoke_stream(model))
    check(f"invoke tool stream {model}", lambda: invoke_tool_stream(model))
check("invoke unknown", invoke_unknown, 0)

# Azure's.

azure = openai.AzureOpenAI(api_key=KEY, api_version="2025-02-01-preview", azure_endpoint=GATEWAY, max_retries=0)


def azure_text(model):
    assert azure.chat.completions.create(model=model, messages=MESSAGES).choices[0].message.content == TEXT


def azure_stream(model):
    chunks = azure.chat.completions.create(model=model, messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT


for model in MODELS:
    check(f"azure text {model}", lambda: azure_text(model))
    check(f"azure stream {model}", lambda: azure_stream(model))

# Cohere's.

co = cohere.ClientV2(api_key=KEY, base_url=GATEWAY)


def cohere_text(model):
    answer = co.chat(model=model, messages=MESSAGES)
    assert answer.message.content[0].text == TEXT and answer.finish_reason == "COMPLETE", answer
    assert answer.usage.tokens.output_tokens == 5, answer


def cohere_stream(model):
    events = list(co.chat_stream(model=model, messages=MESSAGES))
    deltas = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    assert "".join(deltas) == TEXT and events[-1].type == "message-end", events


def cohere_tool(model):
    answer = co.chat(model=model, messages=MESSAGES, tools=TOOLS)
    call = answer.message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments) == INPUT, answer
    history = MESSAGES + [answer.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    co.chat(model=model, messages=history, tools=TOOLS)


def cohere_same_as_direct():
    def answers(client):
        request = {"model": "cohere", "messages": MESSAGES, "tools": TOOLS}
        given = [client.chat(**request), *client.chat_stream(**request)]
        return [answer.model_dump() for answer in given]

    given = [answers(client) for client in (co, cohere.ClientV2(api_key=KEY, base_url=REPLAY))]
    assert given[0] == given[1], given


check("cohere same as direct", cohere_same_as_direct, 2)
for model in MODELS:
    check(f"cohere text {model}", lambda: cohere_text(model))
    check(f"cohere stream {model}", lambda: cohere_stream(model))
    check(f"cohere tool {model}", lambda: cohere_tool(model), 2)

# Ollama's.

local = ollama.Client(host=GATEWAY, headers={"Authorization": f"Bearer {KEY}"})


def ollama_text(model):
    answer = local.chat(model=model, messages=MESSAGES)
    assert answer.message.content == TEXT and answer.done and answer.eval_count == 5, answer


def ollama_stream(model):
    pieces = list(local.chat(model=model, messages=MESSAGES, stream=True, options={"num_predict": 64}))
    assert "".join(piece.message.content or "" for piece in pieces) == TEXT and pieces[-1].done, pieces


def ollama_tool(model):
    answer = local.chat(model=model, messages=MESSAGES, tools=TOOLS)
    call = answer.message.tool_calls[0]
    assert call.function.name == "weather" and call.function.arguments == INPUT, answer
    history = MESSAGES + [answer.message, {"role": "tool", "tool_name": "weather", "content": "sunny"}]
    local.chat(model=model, messages=history, tools=TOOLS)


def ollama_same_as_direct():
    def answers(client):
        request = {"model": "ollama", "messages": MESSAGES, "tools": TOOLS}
        given = [client.chat(**request), *client.chat(**request, stream=True)]
        return [answer.model_dump() for answer in given]

    given = [answers(client) for client in (local, ollama.Client(host=REPLAY))]
    assert given[0] == given[1], given


def ollama_unknown():
    error = raises(ollama.ResponseError, lambda: local.chat(model="none", messages=MESSAGES))
    assert error.status_code == 400 and "none" in error.error, error


for model in MODELS:
    check(f"ollama text {model}", lambda: ollama_text(model))
    check(f"ollama stream {model}", lambda: ollama_stream(model))
    check(f"ollama tool {model}", lambda: ollama_tool(model), 2)
check("ollama same as direct", ollama_same_as_direct, 2)
check("ollama unknown", ollama_unknown, 0)
report()

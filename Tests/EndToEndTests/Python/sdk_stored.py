"""Drives gateways on one store with the official SDKs: responses that are kept, and embeddings in all shapes.

Arguments: a virtual key, another's, the gateways' addresses. The last line printed is {name: "ok" or what went wrong}.
"""

import json
import sys
import traceback

import cohere
import openai
from google import genai
from google.genai import types

KEY, OTHER, *GATEWAYS = sys.argv[1:]
pods = [openai.OpenAI(base_url=f"{each}/v1", api_key=KEY, max_retries=0) for each in GATEWAYS]
stranger = openai.OpenAI(base_url=f"{GATEWAYS[0]}/v1", api_key=OTHER, max_retries=0)
turns = 0


def pod():
    """Another one each time."""
    global turns
    turns += 1
    return pods[turns % len(pods)]


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def conversation(model):
    first = pod().responses.create(model=model, input="one")
    second = pod().responses.create(model=model, input="two", previous_response_id=first.id)
    with pod().responses.stream(model=model, input="three", previous_response_id=second.id) as stream:
        third = stream.get_final_response() if [event for event in stream] else None
    return first, second, third


def kept_here():
    first, second, third = conversation("claude")
    assert first.output_text == "user: one" and first.id.startswith("resp_"), first
    assert second.output_text == "user: one | assistant: user: one | user: two", second.output_text
    assert third.output_text.endswith("| user: three") and third.output_text.count("assistant:") == 3, third.output_text
    assert third.previous_response_id == second.id
    for made in (first, second, third):
        again = pod().responses.retrieve(made.id)
        assert again.output_text == made.output_text and again.id == made.id, again
    items = pod().responses.input_items.list(second.id).data
    assert [item.content[0].text for item in items] == ["two"], items
    assert raises(openai.NotFoundError, lambda: stranger.responses.retrieve(first.id))
    raises(openai.NotFoundError, lambda: stranger.responses.delete(first.id))
    error = raises(
        openai.BadRequestError,
        lambda: stranger.responses.create(model="claude", input="x", previous_response_id=first.id),
    )
    assert error.code == "previous_response_not_found", error
    pod().responses.delete(third.id)
    raises(openai.NotFoundError, lambda: pod().responses.retrieve(third.id))


def kept_there():
    first = pod().responses.create(model="gpt", input="one")
    assert first.id.startswith("resp_up_"), first
    second = pod().responses.create(model="gpt", input="two", previous_response_id=first.id)
    assert second.output_text == "one | two", second.output_text
    assert pod().responses.retrieve(second.id).output_text == "one | two"
    assert pod().responses.input_items.list(second.id).data[0].id == "in_1"
    raises(openai.NotFoundError, lambda: stranger.responses.retrieve(second.id))
    pod().responses.delete(second.id)
    raises(openai.NotFoundError, lambda: pod().responses.retrieve(second.id))
    raises(openai.BadRequestError, lambda: pod().responses.create(model="claude", input="x", previous_response_id=first.id))


def not_kept():
    made = pod().responses.create(model="claude", input="one", store=False)
    raises(openai.NotFoundError, lambda: pod().responses.retrieve(made.id))


def embeddings_of_openai():
    # The SDK asks for base64 and gives floats.
    for model, texts in (("gpt", ["a", "b"]), ("vertex", ["a"])):
        made = pod().embeddings.create(model=model, input=texts)
        assert [each.embedding for each in made.data] == [[0.25, -1.5]] * len(texts), made
        assert made.usage.prompt_tokens == 20, made


def embeddings_of_google():
    # Of other models by Gemini the SDK would have one embedding of all texts together.
    for model, texts in (("gemini-embedding-001", ["a", "b"]), ("gpt", ["a", "b"]), ("vertex", ["a"])):
        client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=GATEWAYS[0]))
        made = client.models.embed_content(model=model, contents=texts)
        assert [each.values for each in made.embeddings] == [[0.25, -1.5]] * len(texts), made


def embeddings_of_cohere():
    client = cohere.ClientV2(base_url=GATEWAYS[0], api_key=KEY)
    for model, texts in (("cohere", ["a", "b"]), ("gpt", ["a", "b"]), ("vertex", ["a"])):
        made = client.embed(model=model, texts=texts, input_type="search_query", embedding_types=["float"])
        assert made.embeddings.float_ == [[0.25, -1.5]] * len(texts), made


CHECKS = [kept_here, kept_there, not_kept, embeddings_of_openai, embeddings_of_google, embeddings_of_cohere]
results = {}
for check in CHECKS:
    try:
        check()
        results[check.__name__] = "ok"
    except Exception:
        results[check.__name__] = traceback.format_exc()
print(json.dumps(results))

"""Drives a gateway with the official `openai` and `anthropic` SDKs: images, audio, moderation, and paths of a provider.

Arguments: the gateway's address, a virtual key. The last line printed is {name: "ok" or what went wrong}.
"""

import json
import sys
import traceback
import urllib.request

import anthropic
import openai

GATEWAY, KEY = sys.argv[1:3]
AUDIO = bytes(range(256)) * 400
client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)
claude = anthropic.Anthropic(base_url=f"{GATEWAY}/anthropic", api_key=KEY, max_retries=0)


def image():
    made = client.images.generate(model="image", prompt="a cat", n=2, size="1024x1024", quality="low")
    assert [each.b64_json for each in made.data] == ["aGVsbG8="] * 2, made


def image_edit():
    made = client.images.edit(model="image", image=("a.png", AUDIO, "image/png"), prompt="with a hat")
    assert made.usage.total_tokens == 50, made


def speech():
    with client.audio.speech.with_streaming_response.create(model="tts", voice="alloy", input="0123456789") as answer:
        assert b"".join(answer.iter_bytes()) == AUDIO


def transcription():
    heard = client.audio.transcriptions.create(model="whisper", file=("a.mp3", AUDIO))
    assert heard.text == "hello", heard


def transcription_verbose():
    heard = client.audio.transcriptions.create(model="whisper", file=("a.mp3", AUDIO), response_format="verbose_json")
    assert heard.duration == 20.5, heard


def translation():
    assert client.audio.translations.create(model="whisper", file=("a.mp3", AUDIO)).text == "hello"


def moderation():
    assert client.moderations.create(model="moderation", input="hello").results[0].flagged is False


def rerank():
    body = json.dumps({"model": "rerank", "query": "q", "documents": ["a", "b"]}).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{GATEWAY}/v2/rerank", body, headers)) as answer:
        assert json.load(answer)["results"][0]["index"] == 1


def unknown_model():
    try:
        client.images.generate(model="nothing", prompt="a cat")
    except openai.BadRequestError as error:
        assert "nothing" in str(error)
        return
    raise AssertionError("the call was served")


def provider_path():
    assert claude.models.retrieve("claude-up").display_name == "Up"


def provider_batch():
    request = {"custom_id": "1", "params": {"model": "m", "max_tokens": 1, "messages": []}}
    assert claude.messages.batches.create(requests=[request]).id == "msgbatch_1"


CHECKS = [image, image_edit, speech, transcription, transcription_verbose, translation, moderation, rerank]
CHECKS += [unknown_model] + ([provider_path, provider_batch] if "--paths" in sys.argv else [])

results = {}
for check in CHECKS:
    try:
        check()
        results[check.__name__] = "ok"
    except Exception:
        results[check.__name__] = traceback.format_exc(limit=4)
print(json.dumps(results))

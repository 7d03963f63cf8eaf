"""Callers, and their books: what each call got."""

import asyncio
import collections
import dataclasses
import random
import time

import http1
import pods

CALL_SECONDS = 8  # a caller's patience


@dataclasses.dataclass
class Call:
    """One call as its caller saw it."""

    number: int
    digest: str  # SHA-256 of the key, hex
    pod: str
    is_stream: bool
    status: int = 0
    error: str = ""  # type of the error that was answered
    call_id: str = ""
    is_whole: bool = False  # the whole answer came, to its last byte
    prompt_tokens: int = -1


class Books:
    def __init__(self):
        self.calls = []
        self.refusals = collections.Counter()  # (status, type of the error)
        self.forgotten = []  # calls with a key that the pod had served before, refused because the database was away
        self.wrong_refusals = []  # of keys that no one ever blocked

    def open(self, key, pod, is_stream):
        call = Call(len(self.calls), key.digest, pod.name, is_stream)
        self.calls.append(call)
        return call


async def call(books, pod, key, is_stream, leave_after=None, connection=None, is_quick=False):
    """One chat completion. `connection`: to use instead of a new one; `is_quick`: the provider shall not dawdle. Never
    raises for what a pod does."""
    record = books.open(key, pod, is_stream)
    fields = {
        "model": pods.MODEL, "user": f"call-{record.number}", "stream": is_stream,
        "max_tokens": 200,
        "messages": [{"role": "user", "content": "Tell me about martlets. " * (1 + record.number % 5)}],
    }
    known = pod.known
    was_known = key.digest in known
    if is_quick:
        fields["seed"] = 0
    opened = None
    answer = http1.Answer()
    try:
        if connection is None:
            connection = opened = await asyncio.wait_for(http1.Connection.to(pod.port), CALL_SECONDS)
        exchange = connection.exchange("POST", "/v1/chat/completions", key.secret, fields, leave_after)
        answer = await asyncio.wait_for(exchange, CALL_SECONDS)
    except (OSError, asyncio.TimeoutError):
        pass
    finally:
        if opened:
            opened.close()
    record.status = answer.status
    record.call_id = answer.headers.get("x-litellm-call-id", "")
    if answer.status == 200:
        known.add(key.digest)
    if answer.status == 200 and answer.is_whole:
        if is_stream:
            record.is_whole = b"data: [DONE]" in answer.body
        else:
            usage = (answer.json or {}).get("usage") or {}
            record.is_whole = bool(usage)
            record.prompt_tokens = usage.get("prompt_tokens", -1)
    elif answer.status >= 400:
        error = (answer.json or {}).get("error") or {}
        record.error = str(error.get("type"))
        books.refusals[(answer.status, record.error)] += 1
        if answer.status in (401, 403) and not key.is_toggled:
            books.wrong_refusals.append(f"call {record.number} on {pod.name}: {answer.status} {answer.body[:200]!r}")
        # With the database away a pod cannot look a key up, but one that it has served it knows.
        if answer.status == 503 and error.get("type") == "service_unavailable" and was_known and known is pod.known:
            books.forgotten.append(f"call {record.number} on {pod.name}: {answer.body[:200]!r}")
    return record


async def caller(books, fleet, keys, seed, index, is_over):
    """One client: calls one after another at pods and with keys of its choice, on kept connections."""
    chance = random.Random(f"{seed}:caller:{index}")
    kept = {}
    while not is_over.is_set():
        pod = chance.choice(fleet)
        key = chance.choice(keys)
        connection = kept.pop(pod.name, None)
        if connection is None or not connection.is_open:
            try:
                connection = await asyncio.wait_for(http1.Connection.to(pod.port), 1)
            except (OSError, asyncio.TimeoutError):
                await asyncio.sleep(0.02)
                continue
        leave_after = chance.randrange(0, 4) if chance.random() < 0.03 else None
        began = time.monotonic()
        await call(books, pod, key, chance.random() < 0.5, leave_after, connection)
        if connection.is_open and chance.random() < 0.95:
            kept[pod.name] = connection
        else:
            connection.close()
        pause = chance.expovariate(1 / 0.08)
        if books.calls and time.monotonic() - began < 0.005:
            pause += 0.02  # refused at once: the pod is not to be flooded
        await asyncio.sleep(min(pause, 1))
    for connection in kept.values():
        connection.close()

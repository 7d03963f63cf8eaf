"""The provider of the run, and its own books: every request that reached it, and what became of it. What the gateway
says later is compared with these books, so nothing here is learnt from the gateway."""

import asyncio
import dataclasses
import json
import random

PROMPT_TOKENS_BASE = 1000
EVENTS = 8
PAUSES = [0, 0.005, 0.02, 0.1, 0.4, 1.5]  # seconds before an answer


@dataclasses.dataclass
class Attempt:
    """One request as the provider saw it."""

    call: int  # number of the caller's call, from its `user`
    sequence: int
    prompt_tokens: int
    completion_tokens: int
    is_stream: bool
    state: str = "received"  # then answered, refused (500), cut (by us) or left (by the gateway)


class Upstream:
    def __init__(self, seed):
        self.seed = seed
        self.attempts = []
        self.by_call = {}
        self.port = None
        self._server = None
        self._tasks = set()

    async def open(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()

    @property
    def running(self):
        return sum(attempt.state == "received" for attempt in self.attempts)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                request = json.loads(await reader.readexactly(length))
                if not await self._answer(request, reader, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    def _book(self, request):
        call = int(request["user"].removeprefix("call-"))
        sequence = len(self.attempts)
        attempt = Attempt(
            call, sequence, PROMPT_TOKENS_BASE + sequence, 10 + sequence % 97, bool(request.get("stream"))
        )
        self.attempts.append(attempt)
        mine = self.by_call.setdefault(call, [])
        mine.append(attempt)
        return attempt, len(mine)

    async def _answer(self, request, reader, writer):
        """Returns whether the connection can be used again."""
        attempt, nth = self._book(request)
        chance = random.Random(f"{self.seed}:{attempt.call}:{nth}")
        fate = 0.5 if "seed" in request else chance.random()
        try:
            if fate < 0.03 and nth == 1:
                await self._send(writer, 500, b'{"error":{"message":"chaos","type":"server_error"}}')
                attempt.state = "refused"
                return True
            cuts = fate > 0.985
            if attempt.is_stream:
                kept = await self._stream(attempt, writer, chance, cuts)
            else:
                kept = await self._plain(attempt, writer, 0 if "seed" in request else chance.choice(PAUSES), cuts)
            attempt.state = "answered" if kept else "cut"
            return kept
        except (OSError, asyncio.CancelledError):
            attempt.state = "left"
            raise

    async def _plain(self, attempt, writer, pause, cuts):
        await asyncio.sleep(pause)
        body = json.dumps({
            "id": f"chatcmpl-{attempt.sequence}", "object": "chat.completion", "created": 1, "model": "chaos",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "word " * attempt.completion_tokens},
            }],
            "usage": _usage(attempt),
        }).encode()
        if cuts:
            writer.write(_head(200, "application/json", f"content-length: {len(body)}") + body[: len(body) // 2])
            await writer.drain()
            return False
        await self._send(writer, 200, body)
        return True

    async def _send(self, writer, status, body):
        writer.write(_head(status, "application/json", f"content-length: {len(body)}") + body)
        await writer.drain()

    async def _stream(self, attempt, writer, chance, cuts):
        pause = chance.choice([0, 0.005, 0.02, 0.06, 0.2])
        writer.write(_head(200, "text/event-stream", "transfer-encoding: chunked"))
        last = chance.randrange(1, EVENTS) if cuts else EVENTS
        for index in range(last):
            self._event(writer, attempt, [{"index": 0, "delta": {"content": f"word {index} "}, "finish_reason": None}])
            await writer.drain()
            await asyncio.sleep(pause)
        if cuts:
            return False
        self._event(writer, attempt, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        self._event(writer, attempt, [], _usage(attempt))
        writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()
        return True

    def _event(self, writer, attempt, choices, usage=None):
        event = {
            "id": f"chatcmpl-{attempt.sequence}", "object": "chat.completion.chunk", "created": 1, "model": "chaos",
            "choices": choices,
        }
        if usage:
            event["usage"] = usage
        writer.write(_chunk(b"data: " + json.dumps(event).encode() + b"\n\n"))


def _usage(attempt):
    return {
        "prompt_tokens": attempt.prompt_tokens, "completion_tokens": attempt.completion_tokens,
        "total_tokens": attempt.prompt_tokens + attempt.completion_tokens,
    }


def _head(status, kind, framing):
    reason = "OK" if status == 200 else "Internal Server Error"
    return f"HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n".encode()


def _chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"

"""As much of HTTP/1.1 as a caller of the gateway needs."""

import asyncio
import dataclasses
import json


@dataclasses.dataclass
class Answer:
    """What came back. `status` 0: no head came."""

    status: int = 0
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Connection:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.is_open = True

    @staticmethod
    async def to(port):
        return Connection(*await asyncio.open_connection("127.0.0.1", port))

    def close(self):
        self.is_open = False
        self.writer.transport.abort()

    async def exchange(self, method, path, key, fields, leave_after=None):
        """One request. Errors of the network end the connection and leave an answer that is not whole.

        `leave_after`: hang up after so many pieces of the body.
        """
        answer = Answer()
        body = b"" if fields is None else json.dumps(fields).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {len(body)}\r\n"
        if key:
            head += f"authorization: Bearer {key}\r\n"
        if body:
            head += "content-type: application/json\r\n"
        try:
            self.writer.write(head.encode() + b"\r\n" + body)
            await self.writer.drain()
            await self._read(answer, leave_after)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:  # cancelled too: half an answer must not be taken for the next one's beginning
            if not answer.is_whole or answer.headers.get("connection") == "close":
                self.close()
        return answer

    async def _read(self, answer, leave_after):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        answer.status = int(head[0].split(" ")[1])
        for line in head[1:]:
            name, _, value = line.partition(":")
            answer.headers[name.lower()] = value.strip()
        if leave_after is not None and leave_after <= 0:
            return
        if "content-length" in answer.headers:
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
            answer.is_whole = True
            return
        pieces = 0
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            answer.body += (await self.reader.readexactly(size + 2))[:-2]
            pieces += 1
            if size == 0:
                answer.is_whole = True
                return
            if leave_after is not None and pieces >= leave_after:
                return


async def request(port, method, path, key=None, fields=None, seconds=10):
    """One request on a connection of its own, given up after `seconds`."""
    connection = None
    try:
        connection = await asyncio.wait_for(Connection.to(port), seconds)
        return await asyncio.wait_for(connection.exchange(method, path, key, fields), seconds)
    except (OSError, asyncio.TimeoutError):
        return Answer()
    finally:
        if connection:
            connection.close()

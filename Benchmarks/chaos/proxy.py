"""The network between one pod and PostgreSQL: a TCP proxy that passes everything on, goes silent, cuts, or swallows
answers. The server has carried out what an answer is about, so to the pod a swallowed answer is a commit of unknown
outcome."""

import asyncio

_CHUNK_BYTES = 1 << 16


class Link:
    """One pod's way to the database."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.port = None
        self.answers_to_lose = 0
        self.answers_lost = 0
        self.refuses = False
        self.disturbed_at = -1e9  # loop time of the last disturbance, to tell its aftermath from a fault of the pod
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers = set()
        self._tasks = set()
        self._server = None

    async def open(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self):
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()

    @property
    def is_silent(self):
        return not self._passes.is_set()

    def silence(self):
        """From now on nothing passes, and nobody is told: connections stay open, new ones are taken and not served."""
        self._passes.clear()

    def heal(self, cutting):
        """Ends silence. `cutting`: the connections of before are reset, else they go on where they stood."""
        if cutting:
            self.cut()
        self.refuses = False
        self._passes.set()
        self.disturbed_at = asyncio.get_running_loop().time()

    def cut(self):
        """Resets every connection."""
        self.disturbed_at = asyncio.get_running_loop().time()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self._writers.add(writer)
        far_writer = None
        try:
            if self.refuses:
                return
            await self._passes.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._writers.add(far_writer)
            ways = [
                asyncio.create_task(self._pump(reader, far_writer, is_answer=False)),
                asyncio.create_task(self._pump(far_reader, writer, is_answer=True)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()
                    self._writers.discard(end)
            self._tasks.discard(task)

    async def _pump(self, reader, writer, is_answer):
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if is_answer and self.answers_to_lose > 0:
                    self.answers_to_lose -= 1
                    self.answers_lost += 1
                    self.disturbed_at = asyncio.get_running_loop().time()
                    return
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass


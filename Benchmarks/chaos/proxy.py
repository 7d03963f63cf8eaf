"""The network between one pod and PostgreSQL: a TCP proxy that passes everything on, goes silent, cuts, swallows answers,
or says a tick twice. The server has carried out what an answer is about, so to the pod a swallowed answer is a commit
of unknown outcome."""

import asyncio

from ticks import Answer, Requests

_CHUNK_BYTES = 1 << 16


class _Session:
    """One connection of the pod, with the fate of the tick that is under way."""

    def __init__(self, writer):
        self.requests = Requests()
        self.near = writer
        self.far = None
        self.lost = None  # the tick whose answer is to vanish
        self.replayed = None  # the tick that is to be said twice
        self.first, self.second = None, None  # answers to it; the second is the pod's no longer


class Link:
    """One pod's way to the database."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.host, self.port = "127.0.0.1", None
        self.answers_to_lose = 0
        self.answers_lost = 0
        self.ticks_to_lose, self.ticks_lost, self.ticks_sent_again = 0, 0, 0
        self.ticks_to_replay, self.ticks_replayed, self.ticks_doubled = 0, 0, 0
        self.refuses = False
        self.disturbed_at = -1e9  # loop time of the last disturbance, to tell its aftermath from a fault of the pod
        self._passes = asyncio.Event()
        self._passes.set()
        self._lost_places = set()
        self._writers = set()
        self._tasks = set()
        self._server = None

    async def open(self, socket=None):
        """`socket`: already listening, elsewhere than on the loopback."""
        if socket:
            self._server = await asyncio.start_server(self._serve, sock=socket)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.host, self.port = self._server.sockets[0].getsockname()

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
        self.disturbed()

    def disturbed(self):
        self.disturbed_at = asyncio.get_running_loop().time()

    def cut(self):
        """Resets every connection."""
        self.disturbed()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self._writers.add(writer)
        session = _Session(writer)
        try:
            if self.refuses:
                return
            await self._passes.wait()
            far_reader, session.far = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._writers.add(session.far)
            ways = [
                asyncio.create_task(self._pump_requests(reader, session)),
                asyncio.create_task(self._pump_answers(far_reader, session)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, session.far):
                if end is not None:
                    end.transport.abort()
                    self._writers.discard(end)
            self._tasks.discard(task)

    async def _pump_requests(self, reader, session):
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await self._passes.wait()
                if tick := session.requests.feed(data):
                    self._decide(tick, session)
                session.far.write(data)
                await session.far.drain()
        except OSError:
            pass

    def _decide(self, tick, session):
        if tick.place in self._lost_places:
            self._lost_places.discard(tick.place)
            self.ticks_sent_again += 1
        if self.ticks_to_lose > 0:
            self.ticks_to_lose -= 1
            session.lost = tick
        # One at a time: the answer that is still out would be taken for the next one's, and the pod for out of step.
        elif self.ticks_to_replay > 0 and not session.replayed:
            self.ticks_to_replay -= 1
            session.replayed, session.first, session.second = tick, Answer(), None

    async def _pump_answers(self, reader, session):
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if session.lost:
                    self._lost_places.add(session.lost.place)
                    self.ticks_lost += 1
                    self.disturbed()
                    return
                if self.answers_to_lose > 0:
                    self.answers_to_lose -= 1
                    self.answers_lost += 1
                    self.disturbed()
                    return
                await self._passes.wait()
                session.near.write(self._replay(data, session))
                await session.near.drain()
        except OSError:
            pass

    def _replay(self, data, session):
        """What of `data` is for the pod: the answer to the tick that the proxy said itself is not."""
        if not session.replayed:
            return data
        if not session.second:
            if session.first.feed(data) is not None:
                # Before the pod can send anything else, since it has not got the end of its answer yet.
                session.second = Answer()
                session.far.write(session.replayed.messages)
            return data
        if (rest := session.second.feed(data)) is None:
            return b""
        # A first one that failed, such as for a deadline, may leave the work to the second.
        if not session.first.is_error and not session.second.is_error:
            self.ticks_replayed += 1
            self.ticks_doubled += session.first.streams_moved * session.second.streams_moved
        session.replayed = session.first = session.second = None
        return rest

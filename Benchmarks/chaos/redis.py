"""A Redis server of the run's own, with nothing on the disk: whatever becomes of it, the ledger must be exact."""

import asyncio
import os
import shutil
import signal

import processes
from processes import BenchError


class Server:
    def __init__(self, directory):
        self.directory = directory
        self.port = processes.free_ports(1)[0]
        self.process = None
        os.makedirs(directory)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    async def start(self):
        program = shutil.which("redis-server")
        if not program:
            raise BenchError("redis-server was not found: apt-get install redis-server")
        self.process = processes.start(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", self.directory],
            log=f"{self.directory}/log", directory=self.directory,
        )
        for _ in range(400):
            if self.process.poll() is not None:
                raise BenchError(f"Redis ended with {self.process.returncode}: see {self.directory}/log")
            if await self.command(b"PING") == b"+PONG\r\n":
                return
            await asyncio.sleep(0.05)
        raise BenchError(f"Redis was not ready within 20 s: see {self.directory}/log")

    async def command(self, word):
        """First line of the answer. `None`: there is none."""
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), 2)
            try:
                writer.write(word + b"\r\n")
                return await asyncio.wait_for(reader.readline(), 2)
            finally:
                writer.close()
        except (OSError, asyncio.TimeoutError):
            return None

    async def flush(self):
        await self.command(b"FLUSHALL")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

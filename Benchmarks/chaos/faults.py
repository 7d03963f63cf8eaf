"""What goes wrong, and when: a plan that the seed decides, and the hands that carry it out."""

import asyncio
import collections
import dataclasses
import os
import random
import signal
import subprocess
import time

from processes import BenchError

READY_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Fault:
    at: float  # seconds after the plan's start
    kind: str
    pod: int
    amount: float  # seconds or a number, as the kind means it


# kind: (weight, smallest and largest amount)
KINDS = {
    "kill": (6, 0.0, 5.0),  # kill -9 of a pod, restarted after so many seconds
    "pause": (2, 1.0, 30.0),  # SIGSTOP, then SIGCONT
    "terminate": (4, 1, 3),  # pg_terminate_backend of so many sessions
    "backend": (2, 0, 0),  # kill -9 of a server process: all sessions end and the server recovers
    "restart": (2, 0.0, 8.0),  # `immediate` stop of the server, started again after so many seconds
    "lose": (6, 1, 3),  # so many answers of the server are swallowed
    "cut": (3, 0.0, 3.0),  # connections are reset, new ones refused for so many seconds
    "silence": (3, 0.5, 15.0),  # nothing passes between pod and server, and nobody is told
    "disk": (2, 1.0, 6.0),  # the pod's disk is full
}


def plan(seed, seconds, pods, has_small_disk):
    chance = random.Random(f"{seed}:plan")
    names = [name for name in KINDS if name != "disk" or has_small_disk]
    weights = [KINDS[name][0] for name in names]
    faults, at = [], 1.0
    while at < seconds:
        kind = chance.choices(names, weights)[0]
        _, least, most = KINDS[kind]
        amount = chance.randint(least, most) if isinstance(most, int) else chance.uniform(least, most)
        # A fault must end before the run does, and a short run must not be all one pause.
        if isinstance(most, float):
            amount = min(amount, seconds / 4, max(seconds - at, 0.5))
        faults.append(Fault(round(at, 2), kind, 0 if kind == "disk" else chance.randrange(pods), round(amount, 2)))
        at += chance.uniform(0.4, 2.4)
    return faults


class SmallDisk:
    """A little file system of its own for one pod's data, so that it can be filled. Needs root."""

    BYTES = 64 << 20

    def __init__(self, path):
        self.path = path
        self.is_mounted = False

    def mount(self):
        """Returns whether the system allowed it."""
        if os.geteuid() != 0:
            return False
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.BYTES},mode=700", "chaos", self.path]
        self.is_mounted = subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
        return self.is_mounted

    def unmount(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", self.path], stderr=subprocess.DEVNULL)
            self.is_mounted = False

    def fill(self):
        with open(f"{self.path}/filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * (1 << 16))
            except OSError:
                pass

    def free(self):
        os.unlink(f"{self.path}/filler")


class Injector:
    def __init__(self, server, fleet, disk, seed, say):
        self.server = server
        self.fleet = fleet
        self.disk = disk
        self.chance = random.Random(f"{seed}:injector")
        self.say = say
        self.done = collections.Counter()
        self.server_lock = asyncio.Lock()
        self.server_touched = 0.0

    async def run(self, faults):
        """Carries out the plan; faults of different targets overlap, those of one follow each other."""
        began = time.monotonic()
        running = []
        for fault in faults:
            await asyncio.sleep(max(0, began + fault.at - time.monotonic()))
            running.append(asyncio.create_task(self._inject(fault)))
        await asyncio.gather(*running)

    async def _inject(self, fault):
        pod = self.fleet[fault.pod]
        touches_server = fault.kind in ("terminate", "backend", "restart")
        async with self.server_lock if touches_server else pod.lock:
            self.say(f"{fault.at:7.2f} s  {fault.kind:<9} {'server' if touches_server else pod.name} {fault.amount}")
            if touches_server:
                await getattr(self, f"_{fault.kind}")(fault.amount)
                for each in self.fleet:
                    each.touched()
            else:
                pod.touched()
                await getattr(self, f"_{fault.kind}")(pod, fault.amount)
                pod.touched()
            self.done[fault.kind] += 1

    async def _kill(self, pod, seconds):
        pod.kill()
        await asyncio.sleep(seconds)
        pod.start()
        # While the server is down a starting pod waits for it, so this wait has to outlast the server's.
        await pod.ready(READY_SECONDS)

    async def _pause(self, pod, seconds):
        pod.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            pod.process.send_signal(signal.SIGCONT)

    async def _terminate(self, count):
        await self.server.query(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pod%'"
            f" AND backend_type = 'client backend' ORDER BY random() LIMIT {count}) t"
        )

    async def _backend(self, _):
        lines = await self.server.query(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pod%' AND backend_type = 'client backend' "
            "ORDER BY (state = 'active') DESC, random() LIMIT 1"
        )
        if lines:
            try:
                os.kill(int(lines[0][0]), signal.SIGKILL)
            except ProcessLookupError:
                pass

    async def _restart(self, seconds):
        await self.server.stop_immediately()
        await asyncio.sleep(seconds)
        await self.server.start()

    async def _lose(self, pod, count):
        pod.link.answers_to_lose += count

    async def _cut(self, pod, seconds):
        pod.link.refuses = True
        pod.link.cut()
        await asyncio.sleep(seconds)
        pod.link.heal(cutting=False)

    async def _silence(self, pod, seconds):
        pod.link.silence()
        await asyncio.sleep(seconds)
        pod.link.heal(cutting=self.chance.random() < 0.5)

    async def _disk(self, pod, seconds):
        self.disk.fill()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.disk.free()

    async def heal(self):
        """Ends every fault and waits until all pods take calls."""
        for pod in self.fleet:
            pod.link.answers_to_lose = 0
            pod.link.heal(cutting=False)
        if self.server.process.poll() is not None:
            raise BenchError(f"PostgreSQL ended by itself: see {self.server.directory}/server.log")
        for pod in self.fleet:
            await pod.ready(READY_SECONDS)

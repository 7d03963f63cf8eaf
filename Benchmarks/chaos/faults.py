"""What goes wrong, and when: a plan that the seed decides, and the hands that carry it out."""

import asyncio
import contextlib
import collections
import dataclasses
import os
import random
import shutil
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
    "lose": (4, 1, 3),  # so many answers of the server are swallowed
    "tick": (4, 1, 2),  # as `lose`, but answers to appends of usage rows: the pod sends the same rows again
    "replay": (4, 1, 3),  # so many appends of usage rows are said twice, as by a network that repeats
    "cut": (3, 0.0, 3.0),  # connections are reset, new ones refused for so many seconds
    "silence": (3, 0.5, 15.0),  # nothing passes between pod and server, and nobody is told
    "partition": (3, 0.5, 12.0),  # the interface between pod and server goes down; needs root
    "disk": (2, 1.0, 6.0),  # the pod's disk is full, until it refuses calls and so many seconds longer; needs root
    "full": (1, 0.5, 5.0),  # the disk of the server's log is full, until it fails and so many seconds longer; needs root
    "flush": (6, 0, 0),  # FLUSHALL
    "redis": (4, 0.0, 15.0),  # kill -9 of Redis, started again, empty, after so many seconds
    "freeze": (3, 0.5, 8.0),  # SIGSTOP of Redis, then SIGCONT
    "writer": (6, 6.0, 12.0),  # SIGSTOP of the pod that writes, beyond its lock's life, then SIGCONT
    "slay": (4, 0.0, 3.0),  # kill -9 of the pod that writes, between taking and committing; restarted later
}
# Only with the Redis transport.
REDIS_KINDS = ("flush", "redis", "freeze", "writer", "slay")
# Seconds that the pods' own load may need to fill what room a journal still has.
REFUSAL_SECONDS = 20


def plan(seed, seconds, pods, names):
    """Each kind at least once in the first three quarters, if so many faults fit, so that it can come true."""
    chance = random.Random(f"{seed}:plan")
    times, at = [], 1.0
    while at < seconds:
        times.append(at)
        at += chance.uniform(0.4, 2.4)
    kinds = chance.choices(names, [KINDS[name][0] for name in names], k=len(times))
    early = range(max(1, len(times) * 3 // 4))
    for place, kind in zip(chance.sample(early, min(len(early), len(names))), chance.sample(names, len(names))):
        kinds[place] = kind
    faults = []
    for at, kind in zip(times, kinds):
        _, least, most = KINDS[kind]
        amount = chance.randint(least, most) if isinstance(most, int) else chance.uniform(least, most)
        # A fault must end before the run does, and a short run must not be all one pause.
        if isinstance(most, float):
            amount = min(amount, seconds / 4, max(seconds - at, 0.5))
        faults.append(Fault(round(at, 2), kind, 0 if kind == "disk" else chance.randrange(pods), round(amount, 2)))
    return faults


class SmallDisk:
    """A little file system in memory, so that it can be filled. Needs root."""

    def __init__(self, path, size_bytes, owner=None):
        self.path = path
        self.size_bytes = size_bytes
        self.owner = owner  # name of the account that writes there
        self.is_mounted = False

    def mount(self):
        """Returns whether the system allowed it."""
        if os.geteuid() != 0:
            return False
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.size_bytes},mode=700", "chaos", self.path]
        self.is_mounted = subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
        if self.is_mounted and self.owner:
            shutil.chown(self.path, self.owner, self.owner if self.owner != "nobody" else "nogroup")
        return self.is_mounted

    def unmount(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", self.path], stderr=subprocess.DEVNULL)
            self.is_mounted = False

    def fill(self):
        """Takes what room there is now; again and again, since others give some back."""
        if not self.is_mounted:
            return  # the run is being ended: what is there now is the machine's own disk
        with open(f"{self.path}/filler", "ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * (1 << 12))
            except OSError:
                pass

    def free(self):
        # There is none where something broke before the first piece was written.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.path}/filler")


class Injector:
    """`disk` is the first pod's; `call` makes a call at a pod and says whether its journal had no room for it."""

    def __init__(self, server, redis, fleet, disk, network, call, seed, say):
        self.server = server
        self.redis = redis
        self.redis_lock = asyncio.Lock()
        self.fleet = fleet
        self.disk = disk
        self.network = network
        self.call = call
        self.chance = random.Random(f"{seed}:injector")
        self.say = say
        self.done = collections.Counter()
        self.server_lock = asyncio.Lock()

    async def run(self, faults):
        """Carries out the plan; faults of different targets overlap, those of one follow each other."""
        began = time.monotonic()
        running = []
        for fault in faults:
            await asyncio.sleep(max(0, began + fault.at - time.monotonic()))
            running.append(asyncio.create_task(self._inject(fault)))
        await asyncio.gather(*running)

    async def _inject(self, fault):
        if fault.kind in REDIS_KINDS:
            await self._inject_redis(fault)
            return
        pod = self.fleet[fault.pod]
        touches_server = fault.kind in ("terminate", "backend", "restart", "full")
        async with self.server_lock if touches_server else pod.lock:
            self.say(f"{fault.at:7.2f} s  {fault.kind:<9} {'server' if touches_server else pod.name} {fault.amount}")
            if touches_server:
                happened = await getattr(self, f"_{fault.kind}")(fault.amount)
                for each in self.fleet:
                    each.touched()
            else:
                pod.touched()
                happened = await getattr(self, f"_{fault.kind}")(pod, fault.amount)
                pod.touched()
            self.done[fault.kind] += happened is not False

    async def _inject_redis(self, fault):
        happened = True
        if fault.kind in ("writer", "slay"):
            pod = await self._writer()
            if pod is None:
                return
            async with pod.lock:
                self.say(f"{fault.at:7.2f} s  {fault.kind:<9} {pod.name} {fault.amount}")
                pod.touched()
                happened = await (self._pause if fault.kind == "writer" else self._slay)(pod, fault.amount)
                pod.touched()
        else:
            async with self.redis_lock:
                self.say(f"{fault.at:7.2f} s  {fault.kind:<9} redis {fault.amount}")
                await getattr(self, f"_{fault.kind}")(fault.amount)
        self.done[fault.kind] += happened is not False

    async def _writer(self):
        """The pod that says it writes for all, waited for a while. `None`: no pod that is well says so."""
        for _ in range(40):
            for pod in self.fleet:
                if not pod.lock.locked():
                    answer = await pod.admin("GET", "/fleet", seconds=3)
                    if ((answer.json or {}).get("redis") or {}).get("is_holder") and not pod.lock.locked():
                        return pod
            await asyncio.sleep(0.25)
        return None

    async def _slay(self, pod, seconds):
        """Holds the fence, so that the writer stands before its commit with the batches that it has taken. It is held
        until the server has seen that the writer is gone. Returns whether it was met there."""
        hold = asyncio.create_task(
            self.server.query("BEGIN; SELECT FROM martlet.writer_fence FOR UPDATE; SELECT pg_sleep(6); ROLLBACK"))
        is_met = False
        for _ in range(20):
            lines = await self.server.query(
                f"SELECT pid FROM pg_stat_activity WHERE application_name = '{pod.name}' AND wait_event_type = 'Lock' "
                "AND query LIKE '%commits = commits + 1%'"
            )
            if lines:
                is_met = True
                break
            await asyncio.sleep(0.1)
        if is_met:
            pod.kill()
        await hold
        if is_met:
            await asyncio.sleep(seconds)
            pod.start()
            await pod.ready(READY_SECONDS)
        return is_met

    async def _flush(self, _):
        await self.redis.flush()

    async def _redis(self, seconds):
        self.redis.kill()
        await asyncio.sleep(seconds)
        await self.redis.start()

    async def _freeze(self, seconds):
        self.redis.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.redis.thaw()

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

    async def _full(self, seconds):
        """Returns whether the server met the full disk."""
        before = self.server.disk_full_logged()
        self.server.disk.fill()
        try:
            for _ in range(200):
                if self.server.disk_full_logged() > before or self.server.process.poll() is not None:
                    break
                await self.server.query("SELECT pg_logical_emit_message(false, 'chaos', repeat('x', 500000))")
                self.server.disk.fill()
            await asyncio.sleep(seconds)
        finally:
            self.server.disk.free()
        # It may have ended, be about to, or have come back by itself.
        for _ in range(600):
            if self.server.process.poll() is not None:
                await self.server.start()
            if await self.server.query("SELECT 1") is not None:
                break
            await asyncio.sleep(0.1)
        return self.server.disk_full_logged() > before

    # These wait in the link until there is something to do them to; `count` says how often that was.

    async def _lose(self, pod, count):
        pod.link.answers_to_lose += count
        return False

    async def _tick(self, pod, count):
        pod.link.ticks_to_lose += count
        return False

    async def _replay(self, pod, count):
        pod.link.ticks_to_replay += count
        return False

    async def _cut(self, pod, seconds):
        pod.link.refuses = True
        pod.link.cut()
        await asyncio.sleep(seconds)
        pod.link.heal(cutting=False)

    async def _silence(self, pod, seconds):
        pod.link.silence()
        await asyncio.sleep(seconds)
        pod.link.heal(cutting=self.chance.random() < 0.5)

    async def _partition(self, pod, seconds):
        pod.link.disturbed()
        is_cut = await self.network.cut(pod.index, pod.link.port)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.network.mend(pod.index)
            pod.link.disturbed()
        return is_cut

    async def _disk(self, pod, seconds):
        """Returns whether the pod met the full disk: its journal takes no more calls then."""
        is_refused = asyncio.Event()
        end = time.monotonic() + REFUSAL_SECONDS

        async def press():
            while not is_refused.is_set() and time.monotonic() < end:
                if await self.call(pod):
                    is_refused.set()

        async def keep_full():
            while True:
                self.disk.fill()
                await asyncio.sleep(0.02)

        filling = asyncio.create_task(keep_full())
        try:
            await asyncio.gather(*(press() for _ in range(16)))
            await asyncio.sleep(seconds)
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            self.disk.free()
        return is_refused.is_set()

    def count(self):
        """How often each kind of fault came true."""
        links = [pod.link for pod in self.fleet]
        self.done["lose"] = sum(link.answers_lost for link in links)
        self.done["tick"] = sum(link.ticks_sent_again for link in links)
        self.done["replay"] = sum(link.ticks_replayed for link in links)
        return self.done

    async def heal(self):
        """Ends every fault and waits until all pods take calls."""
        for pod in self.fleet:
            pod.link.answers_to_lose = pod.link.ticks_to_lose = pod.link.ticks_to_replay = 0
            pod.link.heal(cutting=False)
        if self.server.process.poll() is not None:
            raise BenchError(f"PostgreSQL ended by itself: see {self.server.directory}/server.log")
        for pod in self.fleet:
            await pod.ready(READY_SECONDS)

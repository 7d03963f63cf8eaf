"""A fleet of real gateways on one PostgreSQL, under load, while everything breaks; then the ledger is compared with
what the provider and the callers wrote down themselves. Exit status 1 when anything differs."""

import argparse
import asyncio
import os
import pathlib
import random
import resource
import shutil
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "rig"))

import audit  # noqa: E402
import budgets  # noqa: E402
import faults  # noqa: E402
import keys as keyring  # noqa: E402
import load  # noqa: E402
import network  # noqa: E402
import pods  # noqa: E402
import postgres  # noqa: E402
import processes  # noqa: E402
import proxy  # noqa: E402
import redis  # noqa: E402
import upstream as provider  # noqa: E402
import verdict  # noqa: E402
import writers  # noqa: E402
from processes import BenchError  # noqa: E402

CALLER_KEYS = 6
SETTLE_SECONDS = 60
POD_DISK_BYTES, LOG_DISK_BYTES = 64 << 20, 48 << 20


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats a run (default: drawn, and printed)")
    parser.add_argument("--runs", type=int, default=1, help="so many runs, seed after seed, one line each (default 1)")
    parser.add_argument("--seconds", "--secs", type=float, default=300, help="how long things break (default 300)")
    parser.add_argument("--pods", type=int, default=4, help="gateways, 2 to 16 (default 4)")
    parser.add_argument("--callers", type=int, default=24, help="concurrent callers (default 24)")
    parser.add_argument("--pgbouncer", action="store_true", help="PgBouncer in transaction mode before the server")
    parser.add_argument("--redis", choices=("all", "half"), nargs="?", const="half",
                        help="all pods, or every other one, with the Redis transport, and faults of Redis (default half)")
    parser.add_argument("--faults", metavar="LIST", help=f"only these of {','.join(faults.KINDS)}")
    parser.add_argument("--martlet", metavar="FILE", help="a built binary (default: build this source)")
    parser.add_argument("--budgets", action="store_true", help="budgets and limits instead: --budgets --help")
    parser.add_argument("--keep", action="store_true", help="keep logs, journals and database, and say where")
    parser.add_argument("--untimed", action="store_true", help="judge what is booked, not how fast a block spreads")
    parser.add_argument("--quiet", action="store_true", help="do not tell each fault")
    options = parser.parse_args(words)
    if not 2 <= options.pods <= 16 or not 1 <= options.seconds <= 86400 or not 1 <= options.callers <= 500:
        parser.error("--pods must be 2 to 16, --seconds 1 to 86400 and --callers 1 to 500")
    known = [kind for kind in faults.KINDS if options.redis or kind not in faults.REDIS_KINDS]
    options.faults = options.faults.split(",") if options.faults is not None else known
    unknown = set(options.faults) - set(known) - {""}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    options.martlet = os.path.abspath(options.martlet) if options.martlet else None
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    return options


class Run:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.server = postgres.Server(f"{directory}/postgres", options.pgbouncer)
        self.redis = redis.Server(f"{directory}/redis") if options.redis else None
        self.upstream = provider.Upstream(options.seed)
        self.books = load.Books()
        self.fleet = []
        self.disk, self.network = None, None
        self.kinds = [kind for kind in faults.KINDS if kind in options.faults]
        self.impossible = []  # kinds that were asked for and that this system does not allow
        self.planned = set()
        self.sessions_max = 0
        self.sees_writers = False
        self.blocked, self.waits = [], []  # milliseconds
        self.keys = []
        self.began = time.monotonic()

    def say(self, text):
        if not self.options.quiet:
            print(f"[{time.monotonic() - self.began:6.1f}] {text}", file=sys.stderr, flush=True)

    async def start(self):
        self.prepare()
        self.server.create()
        await self.server.start()
        if await self.server.query(f"CREATE DATABASE {postgres.DATABASE}", "postgres") is None:
            raise BenchError("the database could not be made")
        if self.options.pgbouncer:
            await self.server.start_pooler()
        if self.redis:
            await self.redis.start()
        await self.upstream.open()
        for index in range(self.options.pods):
            link = proxy.Link(self.server.entry_port)
            await link.open(self.network.listen(index) if self.network else None)
            self.fleet.append(
                pods.Pod(
                    index, self.options.martlet, self.directory, link, self.upstream.port, self.options.pgbouncer,
                    self.redis if self.options.redis == "all" or index % 2 == 0 else None,
                )
            )
        if "disk" in self.kinds:
            self.disk = faults.SmallDisk(self.fleet[0].data, POD_DISK_BYTES)
            self.allow("disk", self.disk.mount())
        for pod in self.fleet:
            pod.start()
        for pod in self.fleet:
            await pod.ready(faults.READY_SECONDS)
        # Behind a pooler sessions carry names that are not the pods'.
        self.sees_writers = bool(self.redis) and not self.options.pgbouncer
        if self.sees_writers and not await writers.watch(self.server):
            raise BenchError("PostgreSQL does not note what the writers do")

    def prepare(self):
        """What has to stand before the server does."""
        if "full" in self.kinds:
            disk = faults.SmallDisk(f"{self.server.directory}/log-disk", LOG_DISK_BYTES, postgres.account())
            self.server.disk = disk if disk.mount() else None
            self.allow("full", disk.is_mounted)
        if "partition" in self.kinds:
            self.network = network.Network()
            if not self.network.make(self.options.pods):
                self.network = None
            self.allow("partition", self.network is not None)

    def allow(self, kind, is_possible):
        if not is_possible:
            self.kinds.remove(kind)
            self.impossible.append(kind)

    async def press(self, pod):
        """One call. Returns whether the pod's journal had no room for it."""
        record = await load.call(self.books, pod, self.keys[0], False, is_quick=True)
        return record.error == "ledger_unavailable"

    async def watch(self, is_over):
        """Counts the connections of each pod, by the pod's own sockets and by the server's sessions."""
        loop = asyncio.get_running_loop()
        tick = 0
        while not is_over.is_set():
            for pod in self.fleet:
                pod.count_connections()
            if tick % 5 == 0 and (starts := await self.server.sample()):
                for pod in self.fleet:
                    # After a cut the server keeps sessions of which their pod knows nothing any more, and after a
                    # kill those of the process before until it notices.
                    if not pod.link.is_silent and loop.time() - pod.link.disturbed_at > 3:
                        own = sum(start > pod.started_at for start in starts.get(pod.name, []))
                        self.sessions_max = max(self.sessions_max, own)
            tick += 1
            await asyncio.sleep(0.2)

    async def make_keys(self):
        made = []
        for number in range(CALLER_KEYS + 1):
            pod = self.fleet[number % len(self.fleet)]
            key, _ = await keyring.generate(pod, is_toggled=number == CALLER_KEYS, wait=True)
            if key is None:
                raise BenchError(f"{pod.name} made no key: see {pod.directory}/log")
            made.append(key)
        return made[:-1], made[-1]

    async def measure(self, toggled):
        """How fast a change is in force everywhere, with nothing broken."""
        blocked, waits = await keyring.measure(self.books, self.fleet, toggled, 10)
        self.blocked += blocked
        self.waits += waits
        self.say(f"block to refusal: {keyring.summary(blocked)}; ?wait=fleet: {keyring.summary(waits)}")

    async def carry_out(self):
        """Load and faults. Returns what is known afterwards."""
        keys, toggled = await self.make_keys()
        self.keys = keys
        await self.measure(toggled)
        is_over, is_watched = asyncio.Event(), asyncio.Event()
        watch = asyncio.create_task(self.watch(is_watched))
        administrator = keyring.Administrator(self.books, self.fleet, keys, self.options.seed)
        administrator.toggled = toggled
        callers = [
            asyncio.create_task(load.caller(self.books, self.fleet, keys, self.options.seed, index, is_over))
            for index in range(self.options.callers)
        ]
        callers.append(asyncio.create_task(administrator.run(is_over)))
        plan = faults.plan(self.options.seed, self.options.seconds, len(self.fleet), self.kinds) if self.kinds else []
        self.planned = {fault.kind for fault in plan}
        injector = faults.Injector(
            self.server, self.redis, self.fleet, self.disk, self.network, self.press, self.options.seed, self.say
        )
        began = time.monotonic()
        await injector.run(plan)
        await asyncio.sleep(max(0, self.options.seconds - (time.monotonic() - began)))
        await injector.heal()
        self.say("healed; load goes on for 2 s, then ends")
        await asyncio.sleep(2)
        is_over.set()
        await asyncio.gather(*callers)
        await self.measure(toggled)
        members = await self.fleet[0].admin("GET", "/fleet")
        if not await audit.settled(self.server, self.upstream, SETTLE_SECONDS):
            self.say("not everything was shipped and folded in time; the comparison will tell")
        is_watched.set()
        await watch
        return keys + [toggled], administrator, injector, (members.json or {}).get("pods", [])

    async def reckon(self, keys):
        result = audit.Audit(self.upstream, self.books)
        await result.read(self.server)
        result.compare_calls()
        await result.compare_streams(self.server)
        await result.compare_sums(self.server)
        await result.compare_keys(self.fleet, keys)
        if self.sees_writers:
            takings, commits = await writers.check(self.server, result)
            self.say(f"writers: {commits} commits, the fence was taken {takings} times")
        return result

    async def command_line(self, result):
        """`martlet ledger verify` for each pod while it serves, then SIGTERM, after which nothing new may be there."""
        for pod in self.fleet:
            status, output = await pod.run("ledger", "verify")
            if status != 0:
                result.wrong("ledger verify", f"{pod.name}: {output.strip()[:500]}")
        for pod in self.fleet:
            status = await pod.terminate(20)
            if status != 0:
                result.wrong("SIGTERM", f"{pod.name} ended with {status}, see {pod.directory}/log")
        lines = await self.server.demand("SELECT count(*) FROM martlet.usage")
        if int(lines[0][0]) != len(result.rows):
            result.wrong("rows at SIGTERM", f"{lines[0][0]} and not {len(result.rows)}")
        for stream, state in await self.server.demand("SELECT stream_id, state FROM martlet.stream WHERE state <> 3"):
            result.wrong("stream not closed at SIGTERM", f"stream {stream} is left in state {state}")

    async def close(self):
        for pod in self.fleet:
            await pod.link.close()
        await self.upstream.close()


async def chaos(options, directory):
    run = Run(options, directory)
    try:
        await run.start()
        keys, administrator, injector, members = await run.carry_out()
        result = await run.reckon(keys)
        await run.command_line(result)
        verdict.check_fleet(run, result, administrator, members)
        verdict.check_faults(run, result, injector)
        verdict.report(run, result, administrator, injector)
        return 1 if result.differences else 0
    finally:
        await run.close()
        processes.stop_all()
        if run.network:
            run.network.close()
        for disk in (run.disk, run.server.disk):
            if disk and disk.is_mounted:
                if options.keep:
                    shutil.copytree(disk.path, f"{disk.path}-kept")
                disk.unmount()


def main(words):
    options = parse(words)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    try:
        # As its children stand: callers and provider must not be starved by what else runs on the machine.
        pathlib.Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        pass  # only root may, and only some kernels have it
    if options.runs > 1:
        print(verdict.TITLES, flush=True)
    first, status = options.seed, 0
    for number in range(options.runs):
        options.seed = first + number
        status = max(status, run_once(options))
    return status


def run_once(options):
    directory = tempfile.mkdtemp(prefix="martlet-chaos-")
    os.chmod(directory, 0o755)  # the server's account must reach its data
    print(f"scripts/chaos: seed {options.seed}, files in {directory}", file=sys.stderr, flush=True)
    status = 1
    try:
        status = asyncio.run(chaos(options, directory))
    except BenchError as error:
        options.keep = True
        print(f"scripts/chaos: {error}", file=sys.stderr)
    finally:
        processes.stop_all()
        if options.keep or status != 0:
            print(f"scripts/chaos: logs, journals and database are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(budgets.main(sys.argv[1:]) if "--budgets" in sys.argv else main(sys.argv[1:]))

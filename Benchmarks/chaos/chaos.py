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
import faults  # noqa: E402
import keys as keyring  # noqa: E402
import load  # noqa: E402
import pods  # noqa: E402
import postgres  # noqa: E402
import processes  # noqa: E402
import proxy  # noqa: E402
import upstream as provider  # noqa: E402
from processes import BenchError  # noqa: E402

CALLER_KEYS = 6
CONNECTIONS_MAX = 3
SETTLE_SECONDS = 60
BLOCK_MILLISECONDS_MAX = 1000
DEAD_MILLISECONDS = 5000
SHOWN = 20


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats a run (default: drawn, and printed)")
    parser.add_argument("--seconds", type=float, default=300, help="how long things break (default 300)")
    parser.add_argument("--pods", type=int, default=4, help="gateways, 2 to 16 (default 4)")
    parser.add_argument("--callers", type=int, default=24, help="concurrent callers (default 24)")
    parser.add_argument("--pgbouncer", action="store_true", help="PgBouncer in transaction mode before the server")
    parser.add_argument("--faults", metavar="LIST", help=f"only these of {','.join(faults.KINDS)}")
    parser.add_argument("--martlet", metavar="FILE", help="a built binary (default: build this source)")
    parser.add_argument("--keep", action="store_true", help="keep logs, journals and database, and say where")
    parser.add_argument("--untimed", action="store_true", help="judge what is booked, not how fast a block spreads")
    parser.add_argument("--quiet", action="store_true", help="do not tell each fault")
    options = parser.parse_args(words)
    if not 2 <= options.pods <= 16 or not 1 <= options.seconds <= 86400 or not 1 <= options.callers <= 500:
        parser.error("--pods must be 2 to 16, --seconds 1 to 86400 and --callers 1 to 500")
    unknown = set((options.faults or "").split(",")) - set(faults.KINDS) - {""}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(faults.KINDS)}")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    return options


class Run:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.server = postgres.Server(f"{directory}/postgres", options.pgbouncer)
        self.upstream = provider.Upstream(options.seed)
        self.books = load.Books()
        self.fleet = []
        self.disk = None
        self.sessions_max = 0
        self.blocked, self.waits = [], []  # milliseconds
        self.began = time.monotonic()

    def say(self, text):
        if not self.options.quiet:
            print(f"[{time.monotonic() - self.began:6.1f}] {text}", file=sys.stderr, flush=True)

    async def start(self):
        self.server.create()
        await self.server.start()
        if await self.server.query(f"CREATE DATABASE {postgres.DATABASE}", "postgres") is None:
            raise BenchError("the database could not be made")
        if self.options.pgbouncer:
            await self.server.start_pooler()
        await self.upstream.open()
        for index in range(self.options.pods):
            link = proxy.Link(self.server.entry_port)
            await link.open()
            self.fleet.append(
                pods.Pod(
                    index, self.options.martlet, self.directory, link, self.upstream.port, self.options.pgbouncer
                )
            )
        self.disk = faults.SmallDisk(self.fleet[0].data)
        self.has_small_disk = self.disk.mount()
        for pod in self.fleet:
            pod.start()
        for pod in self.fleet:
            await pod.ready(faults.READY_SECONDS)

    async def watch(self, is_over):
        """Counts the connections of each pod, by the pod's own sockets and by the server's sessions."""
        loop = asyncio.get_running_loop()
        tick = 0
        while not is_over.is_set():
            for pod in self.fleet:
                pod.count_connections()
            if tick % 5 == 0 and (counts := await self.server.sample()):
                for pod in self.fleet:
                    # After a cut the server keeps sessions of which their pod knows nothing any more.
                    if not pod.link.is_silent and loop.time() - pod.link.disturbed_at > 3:
                        self.sessions_max = max(self.sessions_max, counts.get(pod.name, 0))
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
        plan = faults.plan(self.options.seed, self.options.seconds, len(self.fleet), self.has_small_disk)
        if self.options.faults is not None:
            plan = [fault for fault in plan if fault.kind in self.options.faults.split(",")]
        injector = faults.Injector(self.server, self.fleet, self.disk, self.options.seed, self.say)
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
        await self.drain()
        is_watched.set()
        await watch
        return keys + [toggled], administrator, injector, (members.json or {}).get("pods", [])

    async def drain(self):
        """Waits until every row is there and folded, by the server's own account."""
        end = time.monotonic() + SETTLE_SECONDS
        before, same = None, 0
        while same < 8:
            if time.monotonic() > end:
                self.say("not everything was shipped and folded in time; the comparison will tell")
                return
            await asyncio.sleep(0.25)
            now = await self.server.query(
                "SELECT sum(applied), sum(folded), (SELECT count(*) FROM martlet.usage) FROM martlet.stream "
                "JOIN martlet.fold_position USING (stream_id)"
            )
            is_done = now and now == before and now[0][0] == now[0][1] and not self.upstream.running
            same = same + 1 if is_done else 0
            before = now

    async def reckon(self, keys):
        result = audit.Audit(self.upstream, self.books)
        await result.read(self.server)
        result.compare_calls()
        await result.compare_streams(self.server)
        await result.compare_sums(self.server)
        await result.compare_keys(self.fleet, keys)
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
        check_fleet(run, result, administrator, members)
        report(run, result, administrator, injector)
        return 1 if result.differences else 0
    finally:
        await run.close()
        processes.stop_all()
        if run.disk:
            if options.keep and run.disk.is_mounted:
                shutil.copytree(run.disk.path, f"{run.disk.path}-kept")
            run.disk.unmount()


def check_fleet(run, result, administrator, members):
    for refusal in run.books.wrong_refusals:
        result.wrong("key refused that nobody blocked", refusal)
    for refusal in run.books.forgotten:
        result.wrong("known key refused", refusal)
    for violation in administrator.violations:
        result.wrong("change not in force", violation)
    if not run.options.untimed and max(run.blocked, default=0) > BLOCK_MILLISECONDS_MAX:
        result.wrong("block too slow", keyring.summary(run.blocked))
    # Those that a killed process left behind stand there too, with the age of their last beat.
    members = [member for member in members if member["beat_age_ms"] < DEAD_MILLISECONDS]
    if len(members) != len(run.fleet):
        result.wrong("/fleet", f"{len(members)} pods and not {len(run.fleet)}: {members}")
    sockets = max(pod.connections_max for pod in run.fleet)
    # Behind a pooler the server's sessions are the pooler's, whatever name they carry.
    if max(sockets, 0 if run.options.pgbouncer else run.sessions_max) > CONNECTIONS_MAX:
        result.wrong("connections", f"{sockets} sockets, {run.sessions_max} sessions of one pod")
    deadlocks = max(run.server.deadlocks, run.server.deadlocks_logged())
    if deadlocks:
        result.wrong("deadlocks", f"{deadlocks}, see the server's log")


def report(run, result, administrator, injector):
    calls, attempts, counts = run.books.calls, run.upstream.attempts, result.counts
    states = {state: sum(attempt.state == state for attempt in attempts) for state in
              ("answered", "refused", "cut", "left", "received")}
    refusals = ", ".join(f"{status} {kind}: {count}" for (status, kind), count in sorted(run.books.refusals.items()))
    lines = [
        ("seed, pods, seconds", f"{run.options.seed}, {len(run.fleet)}, {run.options.seconds:g}"
         + (", PgBouncer" if run.options.pgbouncer else "")),
        ("faults", ", ".join(f"{kind} {count}" for kind, count in sorted(injector.done.items()))),
        ("answers swallowed", sum(pod.link.answers_lost for pod in run.fleet)),
        ("calls made", len(calls)),
        ("whole answers, each with its measured row", counts["whole answers"]),
        ("calls refused by the gateway", refusals or "none"),
        ("attempts that the provider saw", f"{len(attempts)} (" + ", ".join(
            f"{state} {count}" for state, count in states.items() if count) + ")"),
        ("usage rows", len(result.rows)),
        ("of them measured, estimated, orphaned",
         f"{counts['measured']}, {counts['estimated']}, {counts['orphaned']}"),
        ("orphaned rows whose request was never sent", counts["intents whose request was never sent"]),
        ("nano-dollars in rows, sums and keys", counts["nano-dollars"]),
        ("groups compared, totals and daily", f"{counts['groups in usage_total']}, {counts['groups in usage_daily']}"),
        ("keys compared on every pod", len(administrator.keys) + 1),
        ("admin changes made, acknowledged, refused",
         f"{administrator.changes}, {administrator.acknowledged}, {administrator.refused}"),
        ("block to refusal on other pods", keyring.summary(run.blocked)),
        ("?wait=fleet until acknowledged", keyring.summary(run.waits)),
        ("connections of a pod, most", f"{max(pod.connections_max for pod in run.fleet)} sockets, "
         f"{run.sessions_max} sessions"),
        ("deadlocks", f"{run.server.deadlocks} counted, {run.server.deadlocks_logged()} logged"),
        ("differences", len(result.differences)),
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"| {name:<{width}} | {value}")
    for difference in result.differences[:SHOWN]:
        print(f"DIFFERENCE {difference}")
    if len(result.differences) > SHOWN:
        print(f"... and {len(result.differences) - SHOWN} more")
    print("chaos: exact" if not result.differences else f"chaos: {len(result.differences)} differences")


def main(words):
    options = parse(words)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    try:
        # As its children stand: callers and provider must not be starved by what else runs on the machine.
        pathlib.Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        pass  # only root may, and only some kernels have it
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
    sys.exit(main(sys.argv[1:]))

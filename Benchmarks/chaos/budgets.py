"""Budgets and limits with real gateways on one PostgreSQL: many pods, more load than a budget affords, an observer who
knows every call. Exit status 1 when a bound is broken: a strict budget or a limit passed, less than 97 % used, more
than 2 % of the calls refused falsely (10 % with more than 4 pods), or a row that differs from the provider's books."""

import argparse
import asyncio
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import types

import audit
import bounds
import faults
import keys as keyring
import load
import pods
import postgres
import processes
import spending
from processes import BenchError

LOAD_FACTOR = 3
# A budget of three calls and a little, so that a call is much of it: calls a second, seconds.
SMALL_CALLS, SMALL_RATE, SMALL_SECONDS = 3.1, 10, 3
LIMITS = (60, 600, 6000)
LIMIT_LOADS = (0.8, 3)
# Calls of a minute begin and end so far from its borders that each belongs to it.
MINUTE_BEGINS, MINUTE_ENDS = 0.5, 56.5
SETTLE_SECONDS = 60
FLEET_SIZES_MAX = 16


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/chaos --budgets", description=__doc__)
    parser.add_argument("--budgets", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help="repeats a run's choices (default: drawn, and printed)")
    parser.add_argument("--pods", default="1,4,16", help="sizes of the fleets, one after another (default 1,4,16)")
    parser.add_argument("--seconds", type=float, default=20, help="of load on a budget (default 20)")
    parser.add_argument("--no-limits", action="store_true", help="budgets only; limits take two minutes a fleet")
    parser.add_argument("--no-budgets", action="store_true", help="limits only")
    parser.add_argument("--no-faults", action="store_true", help="kill and pause nothing")
    parser.add_argument("--martlet", metavar="FILE", help="a built binary (default: build this source)")
    parser.add_argument("--keep", action="store_true", help="keep logs, journals and database, and say where")
    parser.add_argument("--untimed", action="store_true", help="judge what is spent and booked, not false refusals")
    parser.add_argument("--quiet", action="store_true", help="say only the table")
    options = parser.parse_args(words)
    try:
        options.sizes = [int(word) for word in options.pods.split(",")]
    except ValueError:
        options.sizes = []
    if not options.sizes or not all(1 <= size <= FLEET_SIZES_MAX for size in options.sizes):
        parser.error(f"--pods must be numbers of 1 to {FLEET_SIZES_MAX}, with commas between them")
    if not 5 <= options.seconds <= 600:
        parser.error("--seconds must be 5 to 600")
    options.martlet = os.path.abspath(options.martlet) if options.martlet else None
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    return options


class Fleet:
    """So many pods on a server of their own, and what was found with them."""

    def __init__(self, options, size, directory):
        self.options = options
        self.size = size
        self.directory = directory
        self.seed = f"{options.seed}:{size}"
        self.server = postgres.Server(f"{directory}/postgres", False)
        self.books = load.Books()
        self.provider = spending.Provider(options.seed, self.books)
        self.pods, self.cells = [], []
        self.callers = spending.Callers(self.books, self.pods)
        self.began = time.monotonic()

    def say(self, text):
        if not self.options.quiet:
            print(f"[{self.size:2} pods {time.monotonic() - self.began:6.1f}] {text}", file=sys.stderr, flush=True)

    async def start(self):
        self.server.create()
        await self.server.start()
        if await self.server.query(f"CREATE DATABASE {postgres.DATABASE}", "postgres") is None:
            raise BenchError("the database could not be made")
        await self.provider.open()
        link = types.SimpleNamespace(host="127.0.0.1", port=self.server.port)
        for index in range(self.size):
            self.pods.append(
                pods.Pod(index, self.options.martlet, self.directory, link, self.provider.port, False, None)
            )
        for pod in self.pods:
            pod.start()
        for pod in self.pods:
            await pod.ready(faults.READY_SECONDS)

    async def add(self, kind, limit, load_factor, fields):
        answer = await self.pods[0].admin("POST", "/key/generate?wait=fleet", fields)
        if answer.status != 200:
            raise BenchError(f"{self.pods[0].name} made no key: {answer.status} {answer.body[:300]!r}")
        cell = spending.Cell(kind, limit, load_factor, keyring.Key(answer.json["key"]), self.seed)
        self.cells.append(cell)
        return cell

    async def add_budget(self, kind, calls_afforded, load_factor):
        """Whole micro-dollars, so that it is the same in every spelling."""
        micros = round(calls_afforded * spending.mean_cost() / 1000)
        mode = "expected" if kind in ("expected", "small") else "strict"
        return await self.add(
            kind, micros * 1000, load_factor, {"max_budget": micros / 1e6, "budget_mode": mode}
        )

    async def spend(self):
        """A small budget, then one of each kind, then a strict one while pods die and stop."""
        per_second, seconds = 25 * self.size + 100, self.options.seconds
        calls = SMALL_RATE * SMALL_SECONDS
        cell = await self.add_budget("small", SMALL_CALLS, calls / SMALL_CALLS)
        await self.callers.run(cell, SMALL_RATE, SMALL_SECONDS)
        for kind in ("strict", "expected", "faults")[:2 if self.options.no_faults else 3]:
            cell = await self.add_budget(kind, per_second * seconds / LOAD_FACTOR, LOAD_FACTOR)
            self.say(f"{kind} budget: {per_second} calls a second for {seconds:g} s")
            breaking = [self.break_pods()] if kind == "faults" else []
            await asyncio.gather(self.callers.run(cell, per_second, seconds), *breaking)

    async def break_pods(self):
        chance = random.Random(f"{self.seed}:faults")
        count = max(2, self.size // 2)
        times = sorted(chance.uniform(0.03, 0.5) * self.options.seconds for _ in range(count))
        began = time.monotonic()
        running = []
        for number, at in enumerate(times):
            await asyncio.sleep(max(0, began + at - time.monotonic()))
            running.append(asyncio.create_task(
                self._break(chance.choice(self.pods), number % 2 == 0, chance.uniform(0.5, 3))
            ))
        await asyncio.gather(*running)

    async def _break(self, pod, is_kill, seconds):
        async with pod.lock:
            self.say(f"{'kill' if is_kill else 'pause'} {pod.name} for {seconds:.1f} s")
            if is_kill:
                pod.kill()
                await asyncio.sleep(seconds)
                pod.start()
                await pod.ready(faults.READY_SECONDS)
            else:
                pod.process.send_signal(signal.SIGSTOP)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    pod.process.send_signal(signal.SIGCONT)

    async def use_limits(self):
        """Every limit and load within one minute of the store's clock, which is this machine's."""
        cells = [
            await self.add("limit", limit, factor, {"rpm_limit": limit}) for limit in LIMITS for factor in LIMIT_LOADS
        ]
        wait = 60 - time.time() % 60
        self.say(f"limits: a minute begins in {wait:.0f} s")
        await asyncio.sleep(wait + MINUTE_BEGINS)
        seconds = MINUTE_ENDS - MINUTE_BEGINS
        await asyncio.gather(*(
            self.callers.run(cell, cell.limit * cell.load_factor / seconds, seconds) for cell in cells
        ))

    def tell(self, found):
        if found.cell.kind == "faults":
            self.say(f"{found.name}: {found.rows:,} n$ in rows, {found.provider:,} n$ by the provider's books, "
                     f"{found.cell.limit:,} n$ the budget")
        if call := found.observer.first_false_call:
            at = f"{call.ended_at - found.cell.began:.3f} s after the first, waited {call.ended_at - call.began:.3f} s"
            self.say(f"{found.name}, {found.cell.load_factor:g}x: first false refusal by {call.pod}, {at}, bound "
                     f"{call.bound}: {call.status} {call.reply[:300].decode(errors='replace')}; "
                     f"{found.observer.early} of {found.observer.false} before {bounds.USE_LEAST:.0%} were used")

    async def reckon(self):
        """Every row against the provider's books. Returns the results of the cells and the differences."""
        if not await audit.settled(self.server, self.provider, SETTLE_SECONDS):
            self.say("not everything was shipped and folded in time; the comparison will tell")
        result = audit.Audit(self.provider, self.books)
        await result.read(self.server)
        result.compare_calls()
        await result.compare_streams(self.server)
        await result.compare_sums(self.server)
        await result.compare_keys(self.pods, [cell.key for cell in self.cells])
        rows = {cell.key.digest: [] for cell in self.cells}
        for row in result.rows:
            rows[row.digest].append(row)
        self.say(f"{len(result.rows):,} rows, {result.counts['orphaned']} of calls whose pod died, "
                 f"{len(result.differences)} differences")
        found = [
            bounds.Result(self.size, cell, rows[cell.key.digest], result.by_call, self.options.untimed)
            for cell in self.cells
        ]
        for each in found:
            self.tell(each)
        if self.callers.unplaced:
            self.say(f"{self.callers.unplaced} calls found no pod that took their connection")
        return found, [f"{self.size} pods: {text}" for text in result.differences]

    async def close(self):
        self.callers.close()
        for pod in self.pods:
            if pod.process and pod.process.poll() is None:
                processes.stop(pod.process)
        if self.server.process:
            self.server.process.send_signal(signal.SIGINT)
            processes.stop(self.server.process)
        if self.provider.port:
            await self.provider.close()


async def run(options, directory):
    results, differences = [], []
    for size in options.sizes:
        fleet = Fleet(options, size, f"{directory}/{size}")
        os.makedirs(fleet.directory, exist_ok=True)
        try:
            await fleet.start()
            if not options.no_budgets:
                await fleet.spend()
            if not options.no_limits:
                await fleet.use_limits()
            found, wrong = await fleet.reckon()
            results += found
            differences += wrong
        finally:
            await fleet.close()
    return 0 if bounds.report(results, differences) else 1


def main(words):
    options = parse(words)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    try:
        # As its children stand: callers and provider must not be starved by what else runs on the machine.
        pathlib.Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        pass  # only root may, and only some kernels have it
    directory = tempfile.mkdtemp(prefix="martlet-budgets-")
    os.chmod(directory, 0o755)  # the server's account must reach its data
    print(f"scripts/chaos --budgets: seed {options.seed}, files in {directory}", file=sys.stderr, flush=True)
    status = 1
    try:
        status = asyncio.run(run(options, directory))
    except BenchError as error:
        print(f"scripts/chaos --budgets: {error}", file=sys.stderr)
    finally:
        processes.stop_all()
        if options.keep or status != 0:
            print(f"scripts/chaos --budgets: logs, journals and databases are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return status

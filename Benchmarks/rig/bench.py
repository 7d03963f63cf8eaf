"""Martlet beside nginx and HAProxy on one machine. scripts/bench starts this, after it has built what is needed."""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import time

import ledger
import load
import machine
import processes
import report
import servers
import soak
import startup
from processes import BenchError

WARM_UP_SECONDS = 1.0
DEFAULT_TESTS = "small,big,c1,c8,stream,paced"
DEFAULT_SERVERS = "nginx,haproxy,martlet"
DISK_GIB_MIN = 8


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--secs", type=float, default=8, help="measured seconds of each run (default 8)")
    parser.add_argument("--reps", type=int, default=3, help="repetitions of each test and server (default 3)")
    parser.add_argument("--tests", default=DEFAULT_TESTS, help=f"of {','.join(load.TESTS)} (default {DEFAULT_TESTS})")
    parser.add_argument(
        "--servers", default=DEFAULT_SERVERS, help=f"of {','.join(servers.KINDS)} (default {DEFAULT_SERVERS})"
    )
    parser.add_argument("--json", metavar="FILE", help="results as JSON (default .build/bench/results.json)")
    parser.add_argument("--markdown", metavar="FILE", help="results as Markdown (default .build/bench/results.md)")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="constant load on Martlet, memory every 10 s")
    parser.add_argument("--rate", type=float, default=2000, help="calls per second of --soak (default 2000)")
    parser.add_argument("--startup", action="store_true", help="time from exec to ready, 20 starts, and idle memory")
    parser.add_argument("--martlet", metavar="FILE", help="a built binary to measure (default: build this source)")
    parser.add_argument("--keep", action="store_true", help="keep logs and ledger of the run in .build/bench/run")
    parser.add_argument("--rig", help=argparse.SUPPRESS)
    parser.add_argument("--plan", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    options.tests = [_known(name, load.TESTS, "test") for name in options.tests.split(",")]
    options.servers = [_known(name, servers.KINDS, "server") for name in options.servers.split(",")]
    if not 0.5 <= options.secs <= 3600 or not 1 <= options.reps <= 100:
        parser.error("--secs must be 0.5 to 3600 and --reps 1 to 100")
    if options.soak is not None and not 0 < options.soak <= 1440:
        parser.error("--soak must be above 0 and at most 1440 minutes")
    if not 1 <= options.rate <= 50_000:
        parser.error("--rate must be 1 to 50000 calls per second")
    return options


def measured_kinds(options):
    """The servers this invocation starts."""
    return [servers.Martlet] if options.soak is not None or options.startup else options.servers


def needs_build(options):
    return options.martlet is None and has_martlet(measured_kinds(options))


def has_martlet(kinds):
    return any(issubclass(kind, servers.Martlet) for kind in kinds)


def _known(name, table, what):
    if name not in table:
        raise BenchError(f"unknown {what} {name!r}; known are {', '.join(table)}")
    return table[name]


class Bench:
    """One invocation: its directory, its cores, the mock, the servers."""

    def __init__(self, options):
        self.options = options
        self.directory = os.path.join(options.rig, "run")
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.server_core, self.driver_core = machine.cores()
        self.is_pinned = self.server_core is not None
        self.cores = [self.server_core, self.driver_core] if self.is_pinned else range(os.cpu_count())
        self.mock, self.servers, self.idle_memory = None, [], {}
        servers.Martlet.program = os.path.abspath(options.martlet or os.path.join(options.rig, "../release/martlet"))
        if not self.is_pinned:
            say("Only one core to use: nothing is pinned, and the figures of server and rig disturb each other.")
        else:
            os.sched_setaffinity(0, {self.driver_core})
        free = shutil.disk_usage(options.rig).free / 2**30
        if free < DISK_GIB_MIN:
            raise BenchError(f"{free:.1f} GiB free under {options.rig}; the ledger of a run needs {DISK_GIB_MIN} GiB")

    def start(self, kinds):
        """Starts the mock and these servers, and notes their memory before any load."""
        program = os.path.join(self.options.rig, "bin", "mock")
        self.mock = servers.Mock(self.directory, program, self.driver_core, len(kinds))
        self.mock.start()
        for index, kind in enumerate(kinds):
            server = kind(self.directory, self.mock.ports[index], self.server_core)
            seconds = server.start()
            self.servers.append(server)
            say(f"{server.name} is ready on 127.0.0.1:{server.port} after {1000 * seconds:.0f} ms")
        processes.wait_until_idle([pid for server in self.servers for pid in server.pids()])
        for server in self.servers:
            self.idle_memory[server.name] = processes.memory_mib(server.pids())["rss"]
            if isinstance(server, servers.Martlet):
                server.make_key()

    def driver(self):
        program = os.path.join(self.options.rig, "bin", "loadgen")
        return load.Driver(program, self.directory, self.mock, self.servers, self.driver_core, self.cores)

    def memory(self):
        found = {}
        for server in self.servers:
            if server.pids():
                now = processes.memory_mib(server.pids())
                found[server.name] = {"idle": self.idle_memory[server.name], "after": now["rss"], "peak": now["peak"]}
        return found


def say(text):
    print(text, file=sys.stderr, flush=True)


def compare(bench):
    """All tests; the repetitions go round the servers, so that a slow minute of the machine hits each of them."""
    options, driver = bench.options, bench.driver()
    results, runs, parts = {}, {}, []
    for test in options.tests:
        say(f"{test.name}: {test.title}")
        runs[test.name] = {server.name: [] for server in bench.servers}
        for repetition in range(options.reps):
            for server in bench.servers:
                run = driver.run(test, server, options.secs, WARM_UP_SECONDS)
                runs[test.name][server.name].append(run)
                cpu = "" if run["cpu_ms_per_1000"] is None else f", {run['cpu_ms_per_1000']:.1f} CPU ms/1,000"
                say(
                    f"  {repetition + 1}/{options.reps} {server.name}: {run['requests_per_second']:,.0f}/s, "
                    f"p99 {run['p99_ms']:.3f} ms{cpu}, failures {run['failures']}"
                )
        results[test.name] = {name: report.summarise(list_) for name, list_ in runs[test.name].items()}
        parts.append(report.test_table(test, results[test.name]))
    for server in bench.servers:
        processes.wait_until_idle(server.pids())
    memory = bench.memory()
    parts.append(report.memory_table(memory))
    judged = report.bars(results, memory)
    if judged:
        parts.append(report.bars_table(judged))
    document = {"tests": runs, "medians": results, "memory_mib": memory, "bars": judged}
    for server in bench.servers:
        if isinstance(server, servers.Martlet):
            say("checking the ledger against the mock's own count")
            sent = sum(run["total"] for test in runs.values() for run in test[server.name])
            checked = ledger.check(server, bench.mock, sent, bench.driver_core)
            document.setdefault("ledgers", {})[server.name] = checked
            parts.append(ledger.markdown(server.name, checked))
    return document, parts


def is_sound(document):
    """False when something was lost or miscounted: then the figures are not worth printing as a success."""
    wrong = [
        summary
        for tests in document.get("medians", {}).values()
        for summary in tests.values()
        if summary["failures"] or summary["lost_events"]
    ]
    exact = all(checked["is_exact"] for checked in document.get("ledgers", {}).values())
    return not wrong and exact and document.get("failures", 0) == 0


def write(options, document, parts):
    for path, name, text in (
        (options.json, "results.json", json.dumps(document, indent=1)),
        (options.markdown, "results.md", "\n\n".join(parts)),
    ):
        path = path or os.path.join(options.rig, name)
        with open(path, "w") as file:
            file.write(text + "\n")
        say(f"written: {path}")


def run(options):
    bench = Bench(options)
    kinds = measured_kinds(options)
    if has_martlet(kinds) and not os.access(servers.Martlet.program, os.X_OK):
        raise BenchError(f"no Martlet binary at {servers.Martlet.program}; build it or name one with --martlet")
    if options.startup:
        document, parts = startup.measure(bench, say)
    else:
        bench.start(kinds)
        document, parts = soak.measure(bench, say) if options.soak is not None else compare(bench)
    measured = bench.servers or [servers.Martlet(bench.directory, 1, None)]
    described = machine.describe(measured, bench.server_core, bench.driver_core)
    document = {"machine": described, "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **document}
    parts.insert(0, report.heading(described, f"{document['when']}: `scripts/bench {' '.join(options.words)}`"))
    print("\n\n".join(parts), flush=True)
    write(options, document, parts)
    return 0 if is_sound(document) else 1


def main(words):
    def interrupted(number, _frame):
        raise KeyboardInterrupt(signal.Signals(number).name)

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # servers inherit it
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, interrupted)
    options = None
    try:
        options = parse(words)
        if options.plan:
            print("martlet" if needs_build(options) else "")
            return 0
        options.words = [word for word in words if not word.startswith("--rig=")]
        signal.alarm(time_limit(options))
        return run(options)
    except BenchError as error:
        say(f"scripts/bench: {error}")
        return 2
    except KeyboardInterrupt as interruption:
        say(f"scripts/bench: stopped by {interruption or 'SIGINT'}")
        return 130
    finally:
        signal.alarm(0)
        processes.stop_all()
        if options and not options.keep and not options.plan:
            shutil.rmtree(os.path.join(options.rig, "run"), ignore_errors=True)


def time_limit(options):
    """Seconds after which the whole run is stopped: twice what it needs, and half an hour for the ledger check."""
    if options.startup:
        return 1800
    if options.soak is not None:
        return int(120 * options.soak + 1800)
    runs = len(options.tests) * len(options.servers) * options.reps
    return int(runs * (options.secs + WARM_UP_SECONDS + 4) * 2 + 1800)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How long Martlet takes from exec to ready, with an empty data directory and with a used one; and what it weighs."""

import os
import shutil
import statistics
import time

import processes
import servers

STARTS = 20
READY_MILLISECONDS_MAX = 300


def _series(bench, is_first_start):
    """`STARTS` starts. Returns milliseconds to ready, milliseconds to end and idle RSS in MiB, each one per start."""
    ready, ending, memory = [], [], []
    martlet = servers.Martlet(bench.directory, bench.mock.ports[0], bench.server_core)
    for _ in range(STARTS):
        if is_first_start:
            shutil.rmtree(martlet.data, ignore_errors=True)
        ready.append(1000 * martlet.start())
        processes.wait_until_idle(martlet.pids(), 10)
        memory.append(processes.memory_mib(martlet.pids())["rss"])
        begun = time.monotonic()
        martlet.stop()
        ending.append(1000 * (time.monotonic() - begun))
    return ready, ending, memory


def measure(bench, say):
    """Returns the JSON document and the Markdown parts."""
    program = os.path.join(bench.options.rig, "bin", "mock")
    bench.mock = servers.Mock(bench.directory, program, bench.driver_core, 1)
    bench.mock.start()
    document, lines = {"startup": {}}, ["### Start", ""]
    lines += [
        f"{STARTS} starts each, on one core, from exec to the first 200 of `/readyz`; RSS when it has gone quiet.",
        "",
    ]
    lines += [
        "| start | ready median ms | ready max ms | idle RSS MiB | SIGTERM to end ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for title, is_first in (("empty data directory", True), ("used data directory", False)):
        say(f"{STARTS} starts: {title}")
        ready, ending, memory = _series(bench, is_first)
        document["startup"][title] = {"ready_ms": ready, "ending_ms": ending, "idle_rss_mib": memory}
        lines.append(
            f"| {title} | {statistics.median(ready):.0f} | {max(ready):.0f} | {statistics.median(memory):.1f} "
            f"| {statistics.median(ending):.0f} |"
        )
    worst = max(max(series["ready_ms"]) for series in document["startup"].values())
    holds = "holds" if worst <= READY_MILLISECONDS_MAX else "does **not** hold"
    lines += ["", f"Ready within {READY_MILLISECONDS_MAX} ms: {holds} (worst {worst:.0f} ms)."]
    return document, ["\n".join(lines)]

"""Constant load for minutes: does memory stay flat, and is everything booked at the end?"""

import statistics
import subprocess
import time

import ledger
import load
import processes

PERIOD_SECONDS = 10
STREAMS = 32  # paced streams that run beside the plain calls all the time
FLAT_MIB_PER_MINUTE_MAX = 0.5


def slope(samples):
    """Least-squares growth in MiB per minute over the second half; the first half belongs to caches that fill."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3:
        return None
    times, sizes = [at / 60 for at, _ in half], [size for _, size in half]
    return statistics.linear_regression(times, sizes).slope


def _start_load(bench, martlet, seconds):
    driver, running = bench.driver(), []
    for name, rate, connections in (("small", bench.options.rate, 32), ("paced", None, STREAMS)):
        words = load.command(driver.program, load.TESTS[name], martlet, seconds, 0, rate, connections)
        running.append(processes.start(words, bench.driver_core, driver.log, stdout=subprocess.PIPE))
    return running


def measure(bench, say):
    """Returns the JSON document and the Markdown parts. Samples go to the terminal as they are taken."""
    martlet, seconds = bench.servers[0], 60 * bench.options.soak
    running = _start_load(bench, martlet, seconds)
    begun, cpu, samples = time.monotonic(), processes.cpu_seconds(martlet.pids()), []
    while time.monotonic() - begun < seconds:
        time.sleep(min(PERIOD_SECONDS, max(0.1, seconds - (time.monotonic() - begun))))
        at, memory = time.monotonic() - begun, processes.memory_mib(martlet.pids())
        spent, cpu = processes.cpu_seconds(martlet.pids()) - cpu, processes.cpu_seconds(martlet.pids())
        samples.append((at, memory["rss"]))
        served = bench.mock.stats(martlet.upstream)["calls"]
        disk = ledger.directory_mib(martlet.data)
        say(
            f"{at:6.0f} s: RSS {memory['rss']:.1f} MiB, peak {memory['peak']:.1f}, data {disk:.0f} MiB, "
            f"{served:,} calls, {spent:.2f} CPU s"
        )
    results = [load.wait_for(process, 120) for process in running]
    failures = sum(sum(run["failures"].values()) + run["unanswered"] + run["lost_events"] for run in results)
    checked = ledger.check(martlet, bench.mock, sum(result["total"] for result in results), bench.driver_core)
    growth = slope(samples)
    document = {
        "soak": {"minutes": bench.options.soak, "rate": bench.options.rate, "mib_per_minute": growth},
        "rss_mib": samples,
        "runs": results,
        "failures": failures,
        "ledgers": {martlet.name: checked},
    }
    return document, [_markdown(bench, samples, growth, failures), ledger.markdown(martlet.name, checked)]


def _markdown(bench, samples, growth, failures):
    sizes = [size for _, size in samples]
    verdict = "too short to tell"
    if growth is not None:
        verdict = "flat" if growth <= FLAT_MIB_PER_MINUTE_MAX else "**growing**"
        verdict += f" ({growth:+.2f} MiB/min over the second half; flat is at most {FLAT_MIB_PER_MINUTE_MAX})"
    return "\n".join(
        [
            f"### Soak: {bench.options.soak:g} minutes, {bench.options.rate:g} calls/s and {STREAMS} paced streams",
            "",
            f"RSS {bench.idle_memory['martlet']} MiB idle, {sizes[0]} after the first sample, highest {max(sizes)}, "
            f"{sizes[-1]} at the end: {verdict}. Failures and lost events: {failures}.",
            "",
            "| s | " + " | ".join(f"{at:.0f}" for at, _ in samples[:: max(1, len(samples) // 12)]) + " |",
            "|---|" + "---:|" * len(samples[:: max(1, len(samples) // 12)]),
            "| RSS MiB | " + " | ".join(f"{size}" for _, size in samples[:: max(1, len(samples) // 12)]) + " |",
        ]
    )

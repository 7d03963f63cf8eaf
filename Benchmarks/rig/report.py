"""Medians, ratios, the Markdown tables, and which of the promised bars hold."""

import statistics

import machine

# (test, column, compared with, "ratio" or "difference", bound, what it says), of Martlet on SQLite; docs/benchmarks.md lists the same bars.
BARS = (
    ("small", "cpu_ms_per_1000", "nginx", "ratio", 1.2, "CPU per small call against nginx"),
    ("big", "cpu_ms_per_1000", "nginx", "ratio", 1.5, "CPU per 20 KB call against nginx"),
    ("stream", "cpu_ms_per_1000", "haproxy", "ratio", 1.5, "CPU per 33-event stream against HAProxy"),
    ("paced", "cpu_ms_per_1000", "nginx", "ratio", 1.3, "CPU per paced stream against nginx"),
    ("c8", "p99_ms", "nginx", "difference", 0.5, "p99 at 8 connections above nginx's, ms"),
    ("paced", "first_byte_p99_ms", "nginx", "difference", 0.4, "p99 to first byte of paced streams above nginx's, ms"),
    ("paced", "lost_events", None, "difference", 0, "events lost in paced streams"),
)
# The same with PostgreSQL against SQLite.
POSTGRES_BARS = tuple(
    (test, "cpu_ms_per_1000", "martlet", "ratio", 1.05, f"CPU of `{test}` with PostgreSQL against SQLite")
    for test in ("small", "big", "stream", "paced")
)
# Milliseconds for 1,000 calls are microseconds for one.
ADMISSION_BAR = (
    "small", "cpu_ms_per_1000", "martlet-unbound", "difference", 1.5, "CPU of four budgets and four limits, us per call"
)
IDLE_RSS_MIB_MAX, LOADED_RSS_MIB_MAX = 40, 120
NOISE_PERCENT = 10

COLUMNS = (
    ("req/s", "requests_per_second", "{:,.0f}"),
    ("p50 ms", "p50_ms", "{:.3f}"),
    ("p99 ms", "p99_ms", "{:.3f}"),
    ("first byte p50", "first_byte_p50_ms", "{:.3f}"),
    ("first byte p99", "first_byte_p99_ms", "{:.3f}"),
    ("CPU ms/1,000", "cpu_ms_per_1000", "{:.1f}"),
    ("with deferred", "cpu_with_deferred_ms_per_1000", "{:.1f}"),
)


def summarise(runs):
    """Medians of the repetitions; failures and lost events are summed, because a median would hide them."""
    summary = {}
    for name, value in runs[0].items():
        values = [run[name] for run in runs]
        if name in ("failures", "lost_events", "total"):
            summary[name] = sum(values)
        elif name == "is_settled":
            summary[name] = all(values)
        elif name != "raw":
            summary[name] = None if value is None else statistics.median(values)
    cpu = [run["cpu_ms_per_1000"] for run in runs]
    summary["cpu_spread"] = None if cpu[0] is None else [min(cpu), max(cpu)]
    return summary


def _ratio(summaries, server, other):
    mine = summaries[server]["cpu_ms_per_1000"]
    theirs = summaries.get(other, {}).get("cpu_ms_per_1000")
    return f"{mine / theirs:.2f}" if mine and theirs else "-"


def test_table(test, summaries):
    """One test: a row for each server. Ratios are of CPU, in the window."""
    titles = ["server"] + [title for title, _, _ in COLUMNS] + ["x nginx", "x HAProxy", "failures", "lost events"]
    lines = [f"### {test.name}: {test.title}", "", "| " + " | ".join(titles) + " |"]
    lines.append("|---|" + "---:|" * (len(titles) - 1))
    for server, summary in summaries.items():
        cells = [server]
        cells += ["-" if summary[name] is None else form.format(summary[name]) for _, name, form in COLUMNS]
        cells += [_ratio(summaries, server, "nginx"), _ratio(summaries, server, "haproxy")]
        cells += [str(summary["failures"]), str(summary["lost_events"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines + [""] + [f"- {note}" for note in notes(summaries)])


def notes(summaries):
    """What a reader has to know before he believes the row."""
    found = []
    for server, summary in summaries.items():
        if summary["foreign_core_percent"] > NOISE_PERCENT:
            found.append(
                f"{server}: other programs used {summary['foreign_core_percent']:.0f} % of a core meanwhile; run again "
                "on a quiet machine"
            )
        if summary["driver_core_percent"] > 90:
            found.append(
                f"{server}: load generator and mock were {summary['driver_core_percent']:.0f} % busy, so req/s is the "
                "rig's limit, not the server's; compare CPU"
            )
        if not summary["is_settled"]:
            found.append(f"{server}: still working long after the load ended; its deferred CPU is counted only in part")
        if summary["cpu_spread"] and summary["cpu_spread"][1] > 1.15 * summary["cpu_spread"][0]:
            low, high = summary["cpu_spread"]
            found.append(f"{server}: CPU between {low:.1f} and {high:.1f} ms/1,000 over the repetitions; take care")
    return found


def memory_table(memory):
    lines = ["### Memory (resident, whole process tree, MiB)", "", "| server | idle | after all tests | peak |"]
    lines.append("|---|---:|---:|---:|")
    for server, values in memory.items():
        lines.append(f"| {server} | {values['idle']} | {values['after']} | {values['peak']} |")
    return "\n".join(lines)


def bars(results, memory):
    """Each bar that this run can judge: (what, measured, bound, holds)."""
    judged = []
    every = [("martlet", *bar) for bar in BARS] + [("martlet-postgres", *bar) for bar in POSTGRES_BARS]
    every.append(("martlet-bound", *ADMISSION_BAR))
    for server, test, column, other, kind, bound, what in every:
        summaries = results.get(test, {})
        mine = summaries.get(server, {}).get(column)
        theirs = summaries.get(other, {}).get(column) if other else 0
        if mine is None or theirs is None or (kind == "ratio" and theirs == 0):
            continue
        value = mine / theirs if kind == "ratio" else mine - theirs
        judged.append((what, round(value, 3), bound, value <= bound))
    if "martlet" in memory:
        idle, after = memory["martlet"]["idle"], memory["martlet"]["after"]
        judged.append(("idle RSS, MiB", idle, IDLE_RSS_MIB_MAX, idle <= IDLE_RSS_MIB_MAX))
        judged.append(("RSS after load, MiB", after, LOADED_RSS_MIB_MAX, after <= LOADED_RSS_MIB_MAX))
    return judged


def bars_table(judged):
    lines = ["### Bars", "", "| bar | measured | bound | holds |", "|---|---:|---:|---|"]
    for what, value, bound, holds in judged:
        lines.append(f"| {what} | {value:g} | {bound:g} | {'yes' if holds else '**no**'} |")
    return "\n".join(lines)


def heading(described, arguments_line):
    return f"{machine.line(described)}\n\n{arguments_line}\n"

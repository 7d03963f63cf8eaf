"""What a fleet of gateways costs its PostgreSQL, beside the ways in which LiteLLM writes or wrote the same.

Starts a server of its own (fsync on), and for each cell of the table pods that make calls at a constant rate and ship
them. Martlet's pods are the gateway's own journal, shipper and store; only their calls are made up, and all of them are in
one process. Exit status: 0 all rows arrived and no bar of Martlet's failed, 1 something was lost or doubled or failed a
bar, 2 the run could not be made."""

import argparse
import asyncio
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

for _room in ("rig", "chaos"):
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / _room))

import machine  # noqa: E402
import postgres  # noqa: E402
import processes  # noqa: E402
import redis  # noqa: E402
from processes import BenchError  # noqa: E402

DESIGNS = {
    "martlet": "Martlet",
    "redis": "Martlet by Redis",
    "per-call": "an UPDATE per call",
    "batched": "batched, unsorted",
    "sorted": "batched, sorted",
}
SETTINGS = ("max_connections = 300", "shared_buffers = 512MB", "max_wal_size = 4GB", "checkpoint_timeout = 30min")
# (pods, phase, column, bound, what)
BARS = (
    (64, "random", "cpu", 8, "database CPU, 64 pods, ticks at random, ms per 1,000 events"),
    (64, "random", "commit_p99", 15, "commit p99, 64 pods, ticks at random, ms"),
    (64, "aligned", "commit_p99", 80, "commit p99, 64 pods, ticks aligned, ms"),
)
COLUMNS = (
    ("design", "title", "{}"),
    ("pods", "pods", "{}"),
    ("ticks", "phase", "{}"),
    ("events/s", "rate", "{:,.0f}"),
    ("of offered", "share", "{:.0%}"),
    ("commit p50 ms", "commit_p50", "{:.1f}"),
    ("commit p99 ms", "commit_p99", "{:.1f}"),
    ("DB CPU ms/1,000", "cpu", "{:.2f}"),
    ("Redis CPU ms/1,000", "redis_cpu", "{}"),
    ("WAL B/event", "wal", "{:.0f}"),
    ("waiting for locks, mean / max", "locks", "{}"),
    ("deadlocks", "deadlocks", "{}"),
    ("retries", "retries", "{}"),
    ("lag p50 ms", "lag_p50", "{:,.0f}"),
    ("lag p99 ms", "lag_p99", "{:,.0f}"),
    ("connections per pod", "connections", "{}"),
    ("ledger", "verdict", "{}"),
)
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/bench-fleet", description=__doc__)
    parser.add_argument("--secs", type=int, default=20, help="measured seconds of each cell (default 20)")
    parser.add_argument("--pods", default="16,64", help="sizes of the fleet (default 16,64)")
    parser.add_argument("--rate", type=int, default=500, help="events a second of each pod (default 500)")
    parser.add_argument("--designs", default=",".join(DESIGNS), help=f"some of {','.join(DESIGNS)} (default all)")
    parser.add_argument("--phases", default="random,aligned", help="when pods tick (default random,aligned)")
    parser.add_argument("--seed", type=int, default=1, help="which keys are called (default 1)")
    parser.add_argument("--driver", metavar="FILE", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--results", metavar="DIR", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    options.pods = [int(word) for word in options.pods.split(",")]
    options.designs, options.phases = options.designs.split(","), options.phases.split(",")
    if set(options.designs) - set(DESIGNS) or set(options.phases) - {"random", "aligned"}:
        parser.error(f"--designs are some of {','.join(DESIGNS)}, --phases of random,aligned")
    if not all(1 <= pods <= 90 for pods in options.pods) or not 1 <= options.rate <= 10000 or options.secs < 1:
        parser.error("--pods must be 1 to 90, --rate 1 to 10000 and --secs at least 1")
    return options


def cells(options):
    for design in options.designs:
        for pods in options.pods:
            for phase in options.phases if design != "per-call" else ["none"]:
                yield design, pods, phase


def server_cpu(server, without):
    """Seconds of CPU of the whole server so far, those of ended processes included, but for the process `without`."""
    root = server.process.pid
    with open(f"/proc/{root}/stat") as file:
        words = file.read().rsplit(")", 1)[1].split()
    ended = (int(words[13]) + int(words[14])) / CLOCK_TICKS  # cutime, cstime
    return ended + processes.cpu_seconds([pid for pid in processes.tree(root) if pid != without])


async def facts(server, queue, database, without):
    """What the servers have used so far."""
    wal, deadlocks = (await server.demand(
        "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, deadlocks FROM pg_stat_database "
        f"WHERE datname = '{database}'", "postgres"
    ))[0]
    return {"cpu": server_cpu(server, without), "wal": int(wal), "deadlocks": int(deadlocks),
            "redis": processes.cpu_seconds([queue.process.pid]) if queue else 0}


async def measure(server, queue, options, directory, design, pods, phase):
    database = f"{design}_{pods}_{phase}".replace("-", "_")
    for text in (f"CREATE DATABASE {database}", "CHECKPOINT"):
        if await server.query(text, "postgres") is None:
            raise BenchError(f"PostgreSQL refused: {text}")
    # In memory: the disk of this one machine is not that of so many pods.
    room = tempfile.mkdtemp(prefix="martlet-fleet-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else directory)
    command = [
        options.driver, "--url", server.url(database), "--design", design, "--pods", str(pods),
        "--rate", str(options.rate), "--secs", str(options.secs), "--seed", str(options.seed), "--directory", room,
        *(["--redis", queue.url] if queue else []),
    ]
    driver = await asyncio.create_subprocess_exec(
        *command, *(["--aligned"] if phase == "aligned" else []), stdout=asyncio.subprocess.PIPE, limit=1 << 20
    )
    try:
        marks, own = [], []
        sampler = 0
        report = None
        async for line in driver.stdout:
            words = line.decode().split()
            if words[0] in ("begin", "end"):
                sampler = int(words[1]) if words[0] == "begin" else sampler
                marks.append(await facts(server, queue, database, sampler))
                own.append(processes.cpu_seconds([driver.pid]))
            else:
                report = json.loads(line)
        if await driver.wait() != 0 or report is None or len(marks) != 2:
            raise BenchError(f"the driver ended with {driver.returncode}: {' '.join(command)}")
    finally:
        if driver.returncode is None:
            driver.kill()
            await driver.wait()
        shutil.rmtree(room, ignore_errors=True)
    await server.query(f"DROP DATABASE {database} WITH (FORCE)", "postgres")
    return row(options, design, pods, phase, marks, own, report)


def row(options, design, pods, phase, marks, own, report):
    before, after = marks
    events = max(report["events"], 1)
    faults = report["differences"] + report["failures"]
    return {
        "design": design, "title": DESIGNS[design], "pods": pods, "phase": phase,
        "rate": report["events"] / report["seconds"],
        "share": report["events"] / (pods * options.rate * report["seconds"]),
        "commit_p50": report["commitP50"], "commit_p99": report["commitP99"],
        "cpu": (after["cpu"] - before["cpu"]) * 1e6 / events,
        "redis_cpu": f"{(after['redis'] - before['redis']) * 1e6 / events:.2f}" if design == "redis" else "-",
        "wal": (after["wal"] - before["wal"]) / events,
        "locks": f"{report['lockWaitsMean']:.1f} / {report['lockWaitsMax']}",
        "deadlocks": after["deadlocks"] - before["deadlocks"], "retries": report["retries"],
        "lag_p50": report["lagP50"], "lag_p99": report["lagP99"], "connections": report["connectionsMax"],
        "verdict": "exact" if not faults else "**differs**", "faults": faults,
        "driver_cpu": (own[1] - own[0]) * 1e6 / events, "report": report,
    }


def table(rows):
    lines = ["| " + " | ".join(title for title, _, _ in COLUMNS) + " |"]
    lines.append("|---|---:|---|" + "---:|" * (len(COLUMNS) - 4) + "---|")
    for cell in rows:
        lines.append("| " + " | ".join(form.format(cell[name]) for _, name, form in COLUMNS) + " |")
    return "\n".join(lines)


def bars(rows, rate):
    """(what, measured, bound, holds) for each bar that this run can judge."""
    mine = [cell for cell in rows if cell["design"] == "martlet"]
    judged = []
    for pods, phase, column, bound, what in BARS:
        for cell in mine:
            if (cell["pods"], cell["phase"], rate) == (pods, phase, 500):
                judged.append((what, round(cell[column], 2), bound, cell[column] <= bound))
    if mine:
        deadlocks = sum(cell["deadlocks"] for cell in mine)
        judged.append(("deadlocks", deadlocks, 0, deadlocks == 0))
    return judged


def bars_table(judged):
    lines = ["| bar | measured | bound | holds |", "|---|---:|---:|---|"]
    for what, value, bound, holds in judged:
        lines.append(f"| {what} | {value:g} | {bound:g} | {'yes' if holds else '**no**'} |")
    return "\n".join(lines)


async def run(options, directory):
    server = postgres.Server(f"{directory}/postgres", False, SETTINGS)
    server.create()
    await server.start()
    described = machine.facts_line() + ", PostgreSQL " + (await server.query("SHOW server_version", "postgres"))[0][0]
    queue = redis.Server(f"{directory}/redis") if "redis" in options.designs else None
    if queue:
        await queue.start()
    rows = []
    try:
        for design, pods, phase in cells(options):
            began = time.monotonic()
            rows.append(await measure(server, queue, options, directory, design, pods, phase))
            cell = rows[-1]
            print(
                f"scripts/bench-fleet: {design}, {pods} pods, {phase}: {cell['rate']:,.0f} events/s, commit p99 "
                f"{cell['commit_p99']:.1f} ms, {cell['cpu']:.2f} ms/1,000 ({time.monotonic() - began:.0f} s)",
                file=sys.stderr, flush=True,
            )
    finally:
        processes.stop_all()
    judged = bars(rows, options.rate)
    text = f"{described}; {options.secs} s a cell, {options.rate} events/s a pod\n\n{table(rows)}\n"
    if judged:
        text += f"\n{bars_table(judged)}\n"
    for cell in rows:
        for fault in cell["faults"]:
            text += f"\n{cell['title']}, {cell['pods']} pods, {cell['phase']}: {fault}"
    os.makedirs(options.results, exist_ok=True)
    pathlib.Path(options.results, "fleet.md").write_text(text)
    pathlib.Path(options.results, "fleet.json").write_text(json.dumps({"machine": described, "cells": rows}, indent=1))
    print(text)
    return 0 if all(holds for *_, holds in judged) and not any(cell["faults"] for cell in rows) else 1


def main(words):
    options = parse(words)
    directory = tempfile.mkdtemp(prefix="martlet-fleet-")
    os.chmod(directory, 0o755)  # the server's account must reach its data
    try:
        return asyncio.run(run(options, directory))
    except BenchError as error:
        print(f"scripts/bench-fleet: {error}", file=sys.stderr)
        return 2
    finally:
        processes.stop_all()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Did Martlet book what the mock provider served? Nothing lost, nothing twice, every token."""

import os
import re
import subprocess
import time

import processes

_NUMBERS = {name: re.compile(rb'"%s":\s*(\d+)' % name.encode()) for name in ("prompt_tokens", "completion_tokens")}
_LIMIT_SECONDS = 900  # for `ledger verify`; the export is bounded by the whole run's limit


def _count(lines):
    """Rows and token sums of an export, taken line by line from a pipe: it can be gigabytes long."""
    found = {"rows": 0, "prompt_tokens": 0, "completion_tokens": 0}
    for line in lines:
        if not line.startswith(b"{"):
            continue
        found["rows"] += 1
        for name, pattern in _NUMBERS.items():
            match = pattern.search(line)
            if match:
                found[name] += int(match.group(1))
    return found


def directory_mib(path):
    """What the files under `path` hold; files that vanish meanwhile count nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(folder, name))
            except FileNotFoundError:  # a journal segment that was trimmed
                pass
    return round(total / 1024 / 1024, 1)


def _run(words, log, core, read=None):
    """Runs a command and gives its standard output to `read`. Returns its exit status and what `read` returned."""
    process = processes.start(words, core, log, stdout=subprocess.PIPE if read else None)
    try:
        found = read(process.stdout) if read else None
        return process.wait(_LIMIT_SECONDS), found
    except subprocess.TimeoutExpired:
        return f"none: not ended within {_LIMIT_SECONDS} s", None
    finally:
        processes.stop(process)


def check(martlet, mock, sent, core):
    """Compares generator, mock and ledger after the last load. `sent`: requests that the load generator finished."""
    processes.wait_until_idle(martlet.pids(), 60)
    served = mock.stats(martlet.upstream)
    log = os.path.join(martlet.directory, "ledger.log")
    begun = time.monotonic()
    verify, _ = _run(martlet.command("ledger", "verify"), log, core)
    export, booked = _run(martlet.command("ledger", "export", "--format", "jsonl"), log, core, read=_count)
    is_exact = (
        verify == 0
        and export == 0
        and served["aborted"] == served["open"] == 0
        and sent == served["calls"] == booked["rows"]
        and all(booked[name] == served[name] for name in _NUMBERS)
    )
    return {
        "is_exact": is_exact,
        "requests_sent": sent,
        "provider": served,
        "ledger": booked,
        "verify_status": verify,
        "export_status": export,
        "seconds": round(time.monotonic() - begun, 1),
        "data_mib": directory_mib(martlet.data),
    }


def markdown(name, result):
    served, booked = result["provider"], result["ledger"]
    tokens = {
        side: f"{counts['prompt_tokens']:,} | {counts['completion_tokens']:,}"
        for side, counts in (("served", served), ("booked", booked))
    }
    verdict = "exact" if result["is_exact"] else "**DIFFERS**"
    return "\n".join(
        [
            f"Ledger of {name} against provider: {verdict}. Exit status of `ledger verify` {result['verify_status']}, of export "
            f"{result['export_status']} ({result['seconds']} s, {result['data_mib']} MiB of journal and ledger).",
            "",
            "| | calls | prompt tokens | completion tokens |",
            "|---|---:|---:|---:|",
            f"| sent by the load generator | {result['requests_sent']:,} | | |",
            f"| served by the mock | {served['calls']:,} | {tokens['served']} |",
            f"| booked in the ledger | {booked['rows']:,} | {tokens['booked']} |",
        ]
    )

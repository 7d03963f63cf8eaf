"""What a run is judged by beside the rows, and how it is told."""

import sys

import faults
import keys as keyring

CONNECTIONS_MAX = 3
# The shortest run in which each kind of fault has its turn.
ALL_FAULTS_SECONDS = 45
BLOCK_MILLISECONDS_MAX = 1000
DEAD_MILLISECONDS = 5000
SHOWN = 20
TITLES = (
    "| seed | pods | PgBouncer | calls | rows | lost | doubled | counter mismatches | other differences | deadlocks "
    "| connections of a pod, most | faults |\n|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)


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


def check_faults(run, result, injector):
    """A run proves nothing about what did not happen; a short one cannot get round to everything."""
    done = injector.count()
    for kind in sorted(run.planned):
        if not done[kind] and run.options.seconds >= ALL_FAULTS_SECONDS:
            result.wrong("fault never happened", kind)
    doubled = sum(pod.link.ticks_doubled for pod in run.fleet)
    if doubled:
        result.wrong("tick stored twice", f"{doubled} of {done['replay']} that were said twice")


def line(run, result, done):
    """One run in one line of a table; see `TITLES`."""
    kinds = ", ".join(f"{kind} {done[kind]}" for kind in faults.KINDS if done[kind])
    others = sum(count for kind, count in result.kinds.items() if kind not in ("lost", "doubled"))
    counters = sum(count for kind, count in result.kinds.items() if "differs" in kind or kind == "not folded")
    cells = [
        run.options.seed, len(run.fleet), "yes" if run.options.pgbouncer else "no", f"{len(run.books.calls):,}",
        f"{len(result.rows):,}", result.kinds["lost"], result.kinds["doubled"], counters, others - counters,
        max(run.server.deadlocks, run.server.deadlocks_logged()),
        max(pod.connections_max for pod in run.fleet), kinds,
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def report(run, result, administrator, injector):
    if run.options.runs > 1:
        print(line(run, result, injector.done), flush=True)
        for difference in result.differences[:SHOWN]:
            print(f"DIFFERENCE {difference}", file=sys.stderr)
        return
    calls, attempts, counts = run.books.calls, run.upstream.attempts, result.counts
    states = {state: sum(attempt.state == state for attempt in attempts) for state in
              ("answered", "refused", "cut", "left", "received")}
    refusals = ", ".join(f"{status} {kind}: {count}" for (status, kind), count in sorted(run.books.refusals.items()))
    lines = [
        ("seed, pods, seconds", f"{run.options.seed}, {len(run.fleet)}, {run.options.seconds:g}"
         + (", PgBouncer" if run.options.pgbouncer else "")),
        ("faults", ", ".join(f"{kind} {count}" for kind, count in sorted(injector.done.items()))),
        ("asked for and not possible here", ", ".join(run.impossible) or "nothing"),
        ("appends whose answer was lost, then sent again",
         f"{sum(pod.link.ticks_lost for pod in run.fleet)}, {injector.done['tick']}"),
        ("appends said twice, stored twice",
         f"{injector.done['replay']}, {sum(pod.link.ticks_doubled for pod in run.fleet)}"),
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

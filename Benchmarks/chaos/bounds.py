"""What a run over budgets and limits is judged by, and how it is told."""

import collections

import audit
import spending

USE_LEAST = spending.EARLY
TITLES = (
    "pods", "what", "load", "calls", "admitted", "beyond", "used", "at the first false refusal", "false refusals",
    "lost", "refusals",
)
BUDGET_REFUSALS = {"budget_exceeded", "throttling_error", "no_db_connection"}


def false_refusals_most(pods):
    return 0.02 if pods <= 4 else 0.10


def _charged(cell, rows, by_call):
    """What calls that their pod's death cut cost by their rows, and what no call accounts for, nano-dollars."""
    if cell.counts_requests:
        return {}, 0
    charged = {call.number: sum(row.cost for row in by_call.get(call.number, ())) // call.attempts
               for call in cell.calls if call.status == 0 and call.attempts}
    known = {id(row) for call in cell.calls for row in by_call.get(call.number, ())}
    return charged, sum(row.cost for row in rows if row.flags & audit.ORPHANED and id(row) not in known)


class Result:
    """One cell when everything is over. `rows`: those of its key; `by_call`: rows by the number of their call."""

    def __init__(self, pods, cell, rows, by_call, untimed):
        self.pods = pods
        self.untimed = untimed
        self.cell = cell
        self.observer = spending.Observer(cell, *_charged(cell, rows, by_call))
        self.calls = len(cell.calls)
        self.provider = sum(call.attempts * call.cost for call in cell.calls)
        self.rows = sum(row.cost for row in rows)
        self.broken = []
        if cell.counts_requests:
            self.most = max(cell.by_minute.values(), default=0)
            self.beyond = max(0, self.most - cell.limit)
            self.used = sum(call.attempts for call in cell.calls) / max(1, min(cell.limit, self.calls))
        else:
            # Rows of calls whose pod died are estimates; all others are what the provider counted.
            spent = self.rows if cell.kind == "faults" else max(self.rows, self.provider)
            self.beyond = max(0, spent - cell.limit)
            self.used = spent / cell.limit
        self._judge()

    @property
    def name(self):
        if self.cell.counts_requests:
            return f"{self.cell.limit} a minute"
        return {"strict": "strict budget", "expected": "expected budget", "small": "expected budget of 3.1 calls",
                "faults": "strict budget, pods killed and paused"}[self.cell.kind]

    def _judge(self):
        cell, observer = self.cell, self.observer
        false = observer.false / max(1, self.calls)
        if cell.kind not in ("expected", "small") and self.beyond:
            self.broken.append(f"passed by {self.beyond}")
        if cell.kind in ("strict", "expected", "limit") and self.used < USE_LEAST:
            self.broken.append(f"only {self.used:.1%} used")
        if cell.kind == "strict" and not self.untimed and false > false_refusals_most(self.pods):
            self.broken.append(f"{false:.1%} of the calls refused falsely")
        others = {kind: count for (_, kind), count in observer.refusals.items() if kind not in BUDGET_REFUSALS}
        if others:
            self.broken.append(f"other refusals: {others}")

    def cells(self):
        cell, observer = self.cell, self.observer
        is_judged = cell.kind not in ("expected", "small")
        kinds = collections.Counter()
        for (status, _), count in observer.refusals.items():
            kinds[status] += count
        first = "none" if observer.first_false is None else f"{observer.first_false:.1%}"
        return [
            str(self.pods), self.name, f"{cell.load_factor:.3g}x", f"{self.calls:,}", f"{observer.answered:,}",
            f"{self.beyond:,}" if cell.counts_requests else f"{self.beyond:,} n$",
            f"{self.used:.2%}" if is_judged else f"{self.used:.3f}x", first if is_judged else "-",
            f"{observer.false / max(1, self.calls):.2%}" if is_judged else "-", str(observer.lost),
            ", ".join(f"{status}: {count:,}" for status, count in sorted(kinds.items())) or "none",
        ]


def report(results, differences):
    """The table and the verdict. Returns whether every bound held."""
    lines = [list(TITLES)] + [result.cells() for result in results]
    widths = [max(len(line[index]) for line in lines) for index in range(len(TITLES))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |")
    broken = [f"{result.pods} pods, {result.name}, {result.cell.load_factor:g}x: {text}"
              for result in results for text in result.broken]
    for text in broken:
        print(f"BROKEN {text}")
    for text in differences[:20]:
        print(f"DIFFERENCE {text}")
    is_well = not broken and not differences
    print("budgets: every bound held, every row exact" if is_well
          else f"budgets: {len(broken)} bounds broken, {len(differences)} differences in the ledger")
    return is_well

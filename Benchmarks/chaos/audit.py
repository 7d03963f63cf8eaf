"""The reckoning: the provider's own books and the callers' against the ledger, row by row and to the nano-dollar.

Each call carries its number in `user`, which a settled row keeps. The intent of a call whose pod died does not hold it:
an orphaned row is led to its call by the request's id, where the caller got as far as that or another attempt of the
call was settled, else by pod, key, kind of answer and order in time. Each attempt that the provider saw must have
exactly one row.
"""

import asyncio
import collections
import dataclasses
import time

import pods

MEASURED, ESTIMATED, ORPHANED, ERROR = 1, 2, 4, 8
FINISHED, CALLER_LEFT, REFUSED, CUT, CONNECT_FAILED, INVALID = 0, 1, 2, 3, 4, 8
# How an attempt may have ended for the gateway that it had to estimate, by how it ended for the provider. A caller may
# leave while the provider's last bytes are on their way.
ESTIMATED_OUTCOMES = {
    "received": (), "answered": (CALLER_LEFT,), "refused": (CALLER_LEFT,), "cut": (CALLER_LEFT, CUT, INVALID),
    "left": (CALLER_LEFT, CUT),
}
DAY_MICROSECONDS = 86_400_000_000
SUMS = ("spend", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "requests", "errors")


@dataclasses.dataclass
class Row:
    stream: int
    sequence: int
    request: str
    started_at: int
    bits: int
    input: int
    output: int
    cached: int
    reasoning: int
    cost: int
    end_user: str
    payer: int
    route: int
    digest: str

    @property
    def flags(self):
        return self.bits & 0xFFFF

    @property
    def status(self):
        return self.bits >> 16 & 0xFFFF

    @property
    def outcome(self):
        return self.bits >> 36 & 15

    @property
    def attempt(self):
        return self.bits >> 48 & 255

    @property
    def is_stream(self):
        return bool(self.bits >> 44 & 1)

    @property
    def call(self):
        """Number of the caller's call. `None`: an orphaned row, which does not tell."""
        return int(self.end_user.removeprefix("call-")) if self.end_user else None

    @property
    def figures(self):
        error = 1 if self.flags & ERROR else 0
        return (self.cost, self.input, self.cached, self.output, self.reasoning, 1, error)


async def settled(server, upstream, seconds):
    """Waits until every row is there and folded, by the server's own account. Returns whether it came to that."""
    end = time.monotonic() + seconds
    before, same = None, 0
    while same < 8:
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.25)
        now = await server.query(
            "SELECT sum(applied), sum(folded), (SELECT count(*) FROM martlet.usage) FROM martlet.stream "
            "JOIN martlet.fold_position USING (stream_id)"
        )
        is_done = now and now == before and now[0][0] == now[0][1] and not upstream.running
        same = same + 1 if is_done else 0
        before = now
    return True


class Audit:
    def __init__(self, upstream, books):
        self.upstream = upstream
        self.books = books
        self.rows = []
        self.differences = []
        self.counts = collections.Counter()
        self.kinds = collections.Counter()  # of differences
        self.streams_of_pod, self.open_calls = {}, []
        self.by_call = {}  # rows by the number of their call, once compared

    def wrong(self, kind, text):
        self.kinds[kind] += 1
        self.differences.append(f"{kind}: {text}")

    async def read(self, server):
        lines = await server.demand(
            "SELECT stream_id, seq, request_id, started_at, bits, input, output, coalesce(cached_input, 0), "
            "coalesce(reasoning_output, 0), cost, coalesce(end_user, ''), payer_id, route_id, encode(digest, 'hex') "
            "FROM martlet.usage JOIN martlet.payer USING (payer_id)"
        )
        self.rows = []
        for line in lines:
            numbers = [int(line[index]) for index in (3, 4, 5, 6, 7, 8, 9)]
            self.rows.append(
                Row(int(line[0]), int(line[1]), line[2], *numbers, line[10], int(line[11]), int(line[12]), line[13])
            )

    # Rows against the provider's books

    def compare_calls(self):
        by_call, orphans = self._assign_by_number()
        for row in sorted(self._assign_by_request(by_call, orphans), key=lambda row: row.started_at):
            number = self._find_call(by_call, row)
            if number is None:
                # An intent is written before its request is sent: a pod that died between the two cannot know that the
                # provider never saw it.
                self.counts["intents whose request was never sent"] += 1
                self._check_cost(row)
            else:
                by_call[number].append(row)
        self.by_call = by_call
        for number in sorted(set(by_call) | set(self.upstream.by_call)):
            self._compare_call(number, by_call.get(number, []), self.upstream.by_call.get(number, []))

    def _assign_by_number(self):
        by_call, orphans = collections.defaultdict(list), []
        for row in self.rows:
            if row.flags & ORPHANED:
                orphans.append(row)
            elif row.call is None or not 0 <= row.call < len(self.books.calls):
                self.wrong("row of no call", f"{row}")
            else:
                by_call[row.call].append(row)
        return by_call, orphans

    def _assign_by_request(self, by_call, orphans):
        """Returns those that are left."""
        known = {_bare(call.call_id): call.number for call in self.books.calls if call.call_id}
        known |= {_bare(row.request): number for number, rows in by_call.items() for row in rows}
        left = []
        for row in orphans:
            number = known.get(_bare(row.request))
            if number is None:
                left.append(row)
            else:
                by_call[number].append(row)
        self.streams_of_pod = collections.defaultdict(set)
        for number, rows in by_call.items():
            self.streams_of_pod[self.books.calls[number].pod] |= {row.stream for row in rows}
        # Calls with an attempt that has no row yet, in the order in which the provider saw them.
        self.open_calls = [
            number for number, attempts in self.upstream.by_call.items() if len(attempts) > len(by_call.get(number, []))
        ]
        return left

    def _find_call(self, by_call, row):
        for number in self.open_calls:
            call = self.books.calls[number]
            if (
                call.digest == row.digest and row.stream in self.streams_of_pod[call.pod]
                and call.is_stream == row.is_stream and len(by_call.get(number, [])) == row.attempt
            ):
                self.open_calls.remove(number)
                return number
        return None

    def _compare_call(self, number, rows, attempts):
        call = self.books.calls[number]
        rows.sort(key=lambda row: row.attempt)
        if len({row.attempt for row in rows}) != len(rows) or len({row.request for row in rows}) > 1:
            self.wrong("doubled", f"call {number}: {rows}")
            return
        for row in rows:
            self._check_row(call, row)
        sent = [row for row in rows if row.outcome != CONNECT_FAILED]
        while len(sent) > len(attempts) and sent[-1].flags & ORPHANED:
            self.counts["intents whose request was never sent"] += 1
            sent.pop()
        if len(sent) > len(attempts):
            self.wrong("charged but never seen", f"call {number}: {len(attempts)} attempts, {sent}")
        elif len(sent) < len(attempts):
            self.wrong("lost", f"call {number} ({call}): {attempts}, rows {sent}")
        else:
            for attempt, row in zip(attempts, sent):
                self._compare_attempt(call, attempt, row)
        if call.is_whole:
            self._compare_answer(call, attempts, sent)

    def _check_row(self, call, row):
        if row.digest != call.digest:
            self.wrong("wrong key", f"{row}")
        self._check_cost(row)

    def _check_cost(self, row):
        expected = row.input * pods.INPUT_NANOS_PER_TOKEN + row.output * pods.OUTPUT_NANOS_PER_TOKEN
        if row.cost != expected:
            self.wrong("wrong cost", f"{row.cost} and not {expected}: {row}")
        if row.outcome in (REFUSED, CONNECT_FAILED) and row.cost:
            self.wrong("charged for nothing", f"{row}")

    def _compare_attempt(self, call, attempt, row):
        if row.flags & ORPHANED:
            self.counts["orphaned"] += 1
            return
        if row.flags & ESTIMATED:
            self.counts["estimated"] += 1
            if row.outcome not in ESTIMATED_OUTCOMES[attempt.state]:
                self.wrong("wrong flag", f"{call}: {attempt}: {row}")
            return
        self.counts["measured"] += 1
        if attempt.state == "refused":
            if row.outcome != REFUSED or row.status != 500:
                self.wrong("wrong outcome", f"{attempt}: {row}")
        elif (row.input, row.output) != (attempt.prompt_tokens, attempt.completion_tokens):
            self.wrong("wrong tokens", f"call {call.number}: {attempt}: {row}")

    def _compare_answer(self, call, attempts, rows):
        self.counts["whole answers"] += 1
        if not rows or not attempts:
            self.wrong("answer without a row", f"{call}")
            return
        row = rows[-1]
        if row.flags != MEASURED or row.outcome != FINISHED:
            self.wrong("answer not measured", f"{call}: {attempts[-1]}: {row}")
        if _bare(row.request) != _bare(call.call_id):
            self.wrong("wrong call id", f"{call}: {row}")
        if call.prompt_tokens not in (-1, row.input):
            self.wrong("wrong answer", f"{call}: {row}")

    # What is derived from rows

    async def compare_streams(self, server):
        sequences = collections.defaultdict(list)
        for row in self.rows:
            sequences[row.stream].append(row.sequence)
        lines = await server.demand(
            "SELECT stream_id, applied, coalesce(folded, -1) FROM martlet.stream LEFT JOIN martlet.fold_position "
            "USING (stream_id)"
        )
        for stream, applied, folded in (map(int, line) for line in lines):
            if sorted(sequences.pop(stream, [])) != list(range(1, applied + 1)):
                self.wrong("stream with gaps or doubles", f"stream {stream}, applied {applied}")
            if folded != applied:
                self.wrong("not folded", f"stream {stream}: {folded} of {applied}")
        if sequences:
            self.wrong("rows of no stream", f"{list(sequences)}")

    async def compare_sums(self, server):
        totals, daily = collections.defaultdict(_zeros), collections.defaultdict(_zeros)
        for row in self.rows:
            day = row.started_at // DAY_MICROSECONDS
            for sums in (totals[(row.payer, row.route)], daily[(day, row.payer, row.route)]):
                for index, figure in enumerate(row.figures):
                    sums[index] += figure
        columns = ", ".join(SUMS)
        for table, keys, expected in (
            ("usage_total", "payer_id, route_id", totals), ("usage_daily", "day, payer_id, route_id", daily),
        ):
            width = keys.count(",") + 1
            lines = await server.demand(f"SELECT {keys}, {columns} FROM martlet.{table}")
            found = {tuple(map(int, line[:width])): list(map(int, line[width:])) for line in lines}
            self.counts[f"groups in {table}"] = len(found)
            for key in set(found) | set(expected):
                if found.get(key) != expected.get(key):
                    self.wrong(f"{table} differs", f"{key}: {found.get(key)} and not {expected.get(key)}")

    async def compare_keys(self, fleet, keys):
        """What every pod says each key has spent."""
        spent = collections.Counter()
        for row in self.rows:
            spent[row.digest] += row.cost
        for pod in fleet:
            for key in keys:
                answer = await pod.admin("GET", f"/key/info?key={key.secret}")
                info = (answer.json or {}).get("info") or {}
                said = round(info.get("spend", -1) * 1e9)
                if said != spent[key.digest]:
                    self.wrong("spend differs", f"{pod.name} says {said}, the rows {spent[key.digest]}")
        self.counts["nano-dollars"] = sum(spent.values())


def _bare(identifier):
    return identifier.replace("-", "").lower()


def _zeros():
    return [0] * len(SUMS)

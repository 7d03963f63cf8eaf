"""Calls that spend budgets and use up limits, and a record of when the provider saw each and when it was over. From it
an observer who knows every call's bound and cost says afterwards which refusals were false."""

import asyncio
import collections
import dataclasses
import json
import random
import time

import http1
import load
import pods
import upstream

CALL_SECONDS = 30  # a caller's patience: longer than any pod is paused
CONNECT_SECONDS = 1
PAUSE_SECONDS_MEAN = 0.1  # of the provider, before its answer
MAX_TOKENS = (100, 500)
# Parts of its bound that a call uses; half on average, so that estimates are twice the cost.
USED_PARTS = (0.2, 0.8)
EARLY = 0.97
_TEXT = "Tell me about martlets, which have no feet and never land. " * 2


@dataclasses.dataclass
class Call(load.Call):
    cell: object = None
    bound: int = 0  # no attempt can cost more, nano-dollars; 1 where requests are counted
    cost: int = 0  # what an attempt costs
    prompt: int = 0
    completion: int = 0
    pause: float = 0.0
    attempts: int = 0  # that the provider saw
    began: float = 0.0  # monotonic
    ended_at: float = 0.0
    reply: bytes = b""  # of a refusal


def mean_cost():
    """Of a call, nano-dollars."""
    body = len(json.dumps(_fields(100_000, 300)))
    bound = body * pods.INPUT_NANOS_PER_TOKEN + sum(MAX_TOKENS) // 2 * pods.OUTPUT_NANOS_PER_TOKEN
    return bound * sum(USED_PARTS) / 2


def _fields(number, max_tokens):
    return {
        "model": pods.MODEL, "user": f"call-{number:08}", "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": _TEXT}],
    }


class Cell:
    """One key under load. `limit`: nano-dollars of its budget, or requests a minute."""

    def __init__(self, kind, limit, load_factor, key, seed):
        self.kind = kind  # strict, expected, faults (strict, too) or limit
        self.limit = limit
        self.load_factor = load_factor
        self.key = key
        self.chance = random.Random(f"{seed}:{kind}:{limit}:{load_factor}")
        self.calls = []
        self.events = []  # calls as the provider saw them or as they were over, in order
        self.by_minute = collections.Counter()
        self.began = None  # monotonic

    @property
    def counts_requests(self):
        return self.kind == "limit"

    def draw(self, number):
        """A call of this cell, with all that is going to happen to it but the gateway's decision. Its bound does not
        depend on its number."""
        max_tokens = self.chance.randint(*MAX_TOKENS)
        fields = _fields(number, max_tokens)
        size = len(json.dumps(fields))
        part = self.chance.uniform(*USED_PARTS)
        call = Call(number, self.key.digest, "", False, cell=self)
        call.prompt, call.completion = int(size * part), max(1, int(max_tokens * part))
        call.pause = min(2.0, self.chance.expovariate(1 / PAUSE_SECONDS_MEAN))
        if self.counts_requests:
            call.bound = call.cost = 1
        else:
            call.bound = size * pods.INPUT_NANOS_PER_TOKEN + max_tokens * pods.OUTPUT_NANOS_PER_TOKEN
            call.cost = (
                call.prompt * pods.INPUT_NANOS_PER_TOKEN + call.completion * pods.OUTPUT_NANOS_PER_TOKEN
            )
        self.calls.append(call)
        return call, fields

    def sent(self, call):
        self.by_minute[int(time.time() // 60)] += 1
        call.attempts += 1
        self.events.append((call, False))

    def ended(self, call):
        call.ended_at = time.monotonic()
        self.events.append((call, True))


class Observer:
    """Counts as nobody can while it happens: what the provider has seen is reserved until the caller has its answer;
    from then on it has cost what the ledger says. `charged`: of calls that their pod's death cut, nano-dollars by
    number; `uncertain`: of rows that belong to no call that the provider saw, spent from the first such death on."""

    def __init__(self, cell, charged, uncertain):
        self.answered, self.refused, self.false, self.lost = 0, 0, 0, 0
        self.early = 0  # false refusals before `EARLY` of the limit was used or reserved
        self.first_false, self.first_false_call = None, None  # part of the limit used or reserved then
        self.refusals = collections.Counter()  # (status, type of the error)
        self._limit = cell.limit
        self._spent, self._reserved = 0, collections.Counter()
        over = set()
        for call, is_end in cell.events:
            cost = charged.get(call.number, call.cost)
            if is_end:
                over.add(call.number)
                self._spent += self._reserved.pop(call.number, 0) // call.bound * cost
                self._end(call)
                if call.status == 0:
                    self._spent, uncertain = self._spent + uncertain, 0
            elif call.number in over:
                self._spent += cost
            else:
                self._reserved[call.number] += call.bound

    def _end(self, call):
        if call.status == 200:
            self.answered += 1
        elif call.status == 0:
            self.lost += 1
        else:
            self.refused += 1
            self.refusals[(call.status, call.error)] += 1
            used = self._spent + self._reserved.total()
            if used + call.bound <= self._limit:
                self.false += 1
                self.early += used < EARLY * self._limit
                if self.first_false is None:
                    self.first_false, self.first_false_call = used / self._limit, call


class Provider(upstream.Upstream):
    """Answers each call with the usage that was drawn for it, and breaks nothing."""

    def __init__(self, seed, books):
        super().__init__(seed)
        self.books = books

    async def _answer(self, request, reader, writer):
        call = self.books.calls[int(request["user"].removeprefix("call-"))]
        attempt = upstream.Attempt(call.number, len(self.attempts), call.prompt, call.completion, False)
        self.attempts.append(attempt)
        self.by_call.setdefault(call.number, []).append(attempt)
        call.cell.sent(call)
        try:
            await self._plain(attempt, writer, call.pause, False)
            attempt.state = "answered"
            return True
        except (OSError, asyncio.CancelledError):
            attempt.state = "left"
            raise


class Callers:
    """An open load: calls come when they come, whether others are answered or not. `books`: of `load`."""

    def __init__(self, books, fleet):
        self.books = books
        self.fleet = fleet
        self.kept = collections.defaultdict(list)
        self.unplaced = 0  # no pod took the connection

    async def run(self, cell, per_second, seconds):
        """Random arrivals, some pods with more of them than others."""
        weights = [cell.chance.uniform(0.3, 1.7) for _ in self.fleet]
        running = set()
        cell.began = began = time.monotonic()
        at = cell.chance.expovariate(per_second)
        while at < seconds:
            await asyncio.sleep(max(0, began + at - time.monotonic()))
            first = cell.chance.choices(range(len(self.fleet)), weights)[0]
            call, fields = cell.draw(len(self.books.calls))
            self.books.calls.append(call)
            task = asyncio.create_task(self._call(call, fields, first))
            running.add(task)
            task.add_done_callback(running.discard)
            at += cell.chance.expovariate(per_second)
        await asyncio.gather(*running)

    async def _call(self, call, fields, first):
        cell = call.cell
        pod, connection = await self._connect(first)
        if connection is None:
            cell.calls.remove(call)
            self.unplaced += 1
            return
        call.pod, call.began = pod.name, time.monotonic()
        answer = http1.Answer()
        try:
            exchange = connection.exchange("POST", "/v1/chat/completions", cell.key.secret, fields)
            answer = await asyncio.wait_for(exchange, CALL_SECONDS)
        except asyncio.TimeoutError:
            pass
        call.status = answer.status if answer.is_whole else 0
        call.call_id = answer.headers.get("x-litellm-call-id", "")
        if call.status == 200:
            call.is_whole = True
            call.prompt_tokens = ((answer.json or {}).get("usage") or {}).get("prompt_tokens", -1)
        elif call.status:
            call.error = str(((answer.json or {}).get("error") or {}).get("type"))
            call.reply = answer.body
        cell.ended(call)
        if connection.is_open:
            self.kept[pod.name].append(connection)

    async def _connect(self, first):
        """As a load balancer does: a pod that takes no connection is passed over."""
        for offset in range(len(self.fleet)):
            pod = self.fleet[(first + offset) % len(self.fleet)]
            while kept := self.kept[pod.name]:
                if (connection := kept.pop()).is_open and not connection.reader.at_eof():
                    return pod, connection
            try:
                return pod, await asyncio.wait_for(http1.Connection.to(pod.port), CONNECT_SECONDS)
            except (OSError, asyncio.TimeoutError):
                continue
        return None, None

    def close(self):
        for connections in self.kept.values():
            for connection in connections:
                connection.close()

"""The tests: which request, how many connections, what a right answer is; and one run of one test against a server."""

import dataclasses
import json
import os
import subprocess
import time

import processes
from processes import BenchError

EVENTS = 33  # of a stream: role, 30 x content, finish, usage; [DONE] comes on top
GAP_MILLISECONDS = 10
SMALL_REQUEST_BYTES, BIG_REQUEST_BYTES = 280, 20_000
WORDS = "a swift eats sleeps and drinks on the wing and lands only to breed "


@dataclasses.dataclass(frozen=True)
class Test:
    """`body_bytes`: size of the request's body; `gap`: milliseconds between events, 0: all at once; `asks_usage`: the
    caller asks for the usage event himself (if not, a metering gateway has to ask for it and take it out again)."""

    name: str
    connections: int
    title: str
    body_bytes: int = SMALL_REQUEST_BYTES
    is_stream: bool = False
    gap: int = 0
    asks_usage: bool = True


TESTS = {
    test.name: test
    for test in (
        Test("small", 64, "280-byte request, 650-byte JSON answer, 64 connections"),
        Test("big", 64, "20 KB request, 650-byte JSON answer, 64 connections", BIG_REQUEST_BYTES),
        Test("c1", 1, "as small, 1 connection: latency of one caller"),
        Test("c8", 8, "as small, 8 connections: latency under light load"),
        Test("stream", 64, "33 events in one upstream write, 64 connections", is_stream=True),
        Test("paced", 128, "33 events 10 ms apart, 128 connections", is_stream=True, gap=GAP_MILLISECONDS),
        Test("unasked", 64, "as stream, but the caller does not ask for usage", is_stream=True, asks_usage=False),
        Test("c256", 256, "as small, 256 connections"),
    )
}


def request_bytes(test, server):
    """The whole HTTP request of a test, with the server's address and key."""
    fields = {"model": "mock"}
    if test.is_stream:
        fields.update(stream=True, max_tokens=EVENTS - 3)
        if test.asks_usage:
            fields["stream_options"] = {"include_usage": True}
        if test.gap:
            fields["metadata"] = {"gap_ms": str(test.gap)}
    fields["messages"] = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": ""}]
    room = test.body_bytes - len(json.dumps(fields, separators=(",", ":")))
    fields["messages"][1]["content"] = (WORDS * (room // len(WORDS) + 1))[:room]
    body = json.dumps(fields, separators=(",", ":"))
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\n"
        "Accept: application/json\r\n"
        "User-Agent: martlet-bench\r\n"
        f"Authorization: Bearer {server.key}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def command(program, test, server, seconds, warm_up, rate=None, connections=None):
    """The load generator's command line for a test; writes the request file beside the server's other files."""
    path = os.path.join(server.directory, f"{test.name}.http")
    with open(path, "wb") as file:
        file.write(request_bytes(test, server))
    words = [program, "--port", str(server.port), "--request", path, "--seconds", str(seconds)]
    words += ["--warm-up", str(warm_up), "--connections", str(connections or test.connections)]
    if test.is_stream:
        words += ["--expect", "sse", "--events", str(EVENTS if test.asks_usage else EVENTS - 1)]
    else:
        words += ["--expect", "json"]
    if test.gap:
        words += ["--spread", str(test.gap * (EVENTS - 1) / 1000)]
    if rate:
        words += ["--rate", str(rate)]
    return words


def wait_for(process, limit_seconds):
    """The load generator's result, once it has ended."""
    try:
        text, _ = process.communicate(timeout=limit_seconds)
    except subprocess.TimeoutExpired:
        raise BenchError(f"the load generator did not end within {limit_seconds:.0f} s") from None
    finally:
        processes.stop(process)
    if process.returncode != 0:
        raise BenchError(f"the load generator ended with status {process.returncode}; see loadgen.log")
    return json.loads(text)


class Driver:
    """Runs tests: knows the load generator, the mock, all servers, and which cores they stand on."""

    def __init__(self, program, directory, mock, servers, core, cores):
        self.program, self.mock, self.servers, self.core, self.cores = program, mock, servers, core, cores
        self.log = os.path.join(directory, "loadgen.log")

    def run(self, test, server, seconds, warm_up):
        """One repetition. Times in milliseconds, CPU in milliseconds per 1,000 requests, rates per second."""
        pids, mock_pids = server.pids(), self.mock.pids()
        others = [pid for other in self.servers if other is not server for pid in other.pids()]
        processes.wait_until_idle(pids + others)
        words = command(self.program, test, server, seconds, warm_up)
        words += ["--watch", ",".join(str(pid) for pid in pids + mock_pids + others)]
        cpu, busy, begun = processes.cpu_seconds(pids), processes.busy_seconds(self.cores), time.monotonic()
        own = processes.cpu_seconds(mock_pids + others)
        process = processes.start(words, self.core, self.log, stdout=subprocess.PIPE)
        raw = wait_for(process, seconds + warm_up + 60)
        elapsed = time.monotonic() - begun
        busy = processes.busy_seconds(self.cores) - busy
        own = processes.cpu_seconds(mock_pids + others) - own + processes.cpu_seconds(pids) - cpu
        is_settled = processes.wait_until_idle(pids) if pids else True
        cpu = processes.cpu_seconds(pids) - cpu
        window = raw["window_ns"] / 1e9
        watched = {int(pid): spent / 1e9 for pid, spent in raw["cpu_ns"].items() if pid != "loadgen"}
        driver = raw["cpu_ns"]["loadgen"] / 1e9
        in_window = sum(watched[pid] for pid in pids)
        per_thousand = 1e6 / max(raw["requests"], 1)
        own += driver * (elapsed / window)  # the generator is gone by now: its share of the window stands for the run
        return {
            "requests_per_second": raw["requests"] / window,
            "p50_ms": raw["latency_ns"]["p50"] / 1e6,
            "p99_ms": raw["latency_ns"]["p99"] / 1e6,
            "p999_ms": raw["latency_ns"]["p999"] / 1e6,
            "max_ms": raw["latency_ns"]["max"] / 1e6,
            "first_byte_p50_ms": raw["first_byte_ns"]["p50"] / 1e6,
            "first_byte_p99_ms": raw["first_byte_ns"]["p99"] / 1e6,
            "cpu_ms_per_1000": in_window * per_thousand if pids else None,
            "cpu_with_deferred_ms_per_1000": cpu * 1e6 / max(raw["total"], 1) if pids else None,
            "server_core_percent": 100 * in_window / window,
            "driver_core_percent": 100 * (driver + sum(watched[pid] for pid in mock_pids)) / window,
            "foreign_core_percent": max(0.0, 100 * (busy - own) / elapsed),
            "failures": sum(raw["failures"].values()) + raw["unanswered"],
            "lost_events": raw["lost_events"],
            "total": raw["total"],
            "is_settled": is_settled,
            "rss_mib": processes.memory_mib(pids)["rss"],
            "raw": raw,
        }

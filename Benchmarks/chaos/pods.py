"""Real gateways: one process, one data directory, one way to the database each."""

import asyncio
import os
import signal
import subprocess
import time

import http1
import postgres
import processes
from processes import BenchError

MASTER_KEY = "sk-chaos-master"
MODEL = "chaos"
INPUT_NANOS_PER_TOKEN = 1000
OUTPUT_NANOS_PER_TOKEN = 2000

_CONFIGURATION = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: sk-upstream
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
general_settings:
  master_key: {master}{general}
router_settings:
  num_retries: 2
  disable_cooldowns: true
martlet:
  journal_segment_bytes: 65536
"""
_REDIS = "\n  use_redis_transaction_buffer: true"


class Pod:
    def __init__(self, index, binary, directory, link, upstream_port, pooled, redis):
        self.index = index
        self.name = f"pod{index}"
        self.binary = binary
        self.directory = f"{directory}/{self.name}"
        self.data = f"{self.directory}/data"
        self.configuration = f"{self.directory}/config.yaml"
        self.link = link
        self.pooled = pooled
        self.redis = redis  # None: rows go straight into the database
        self.port = processes.free_ports(1)[0]
        self.lock = asyncio.Lock()  # held by the fault that is at work on this pod
        self.process = None
        self.kills = 0
        self.known = set()  # digests of keys that this process has served
        self.started_at = 0.0  # time.time() of this process's start
        self.clean_since = 0.0  # monotonic time; before it some fault was at work here
        self.connections_max = 0
        os.makedirs(self.data, mode=0o700)
        with open(self.configuration, "w") as file:
            file.write(_CONFIGURATION.format(model=MODEL, upstream=upstream_port, master=MASTER_KEY,
                                            general=_REDIS if redis else ""))

    @property
    def database_url(self):
        pooler = "&pgbouncer=true" if self.pooled else ""
        return (
            f"postgresql://{postgres.USER}:{postgres.PASSWORD}@{self.link.host}:{self.link.port}/{postgres.DATABASE}"
            f"?application_name={self.name}{pooler}"
        )

    @property
    def environment(self):
        address = {"REDIS_URL": self.redis.url} if self.redis else {}
        return {"DATABASE_URL": self.database_url, "SWIFT_BACKTRACE": "interactive=no,color=no", **address}

    def start(self):
        self.known = set()
        self.started_at = time.time()
        self.process = processes.start(
            [self.binary, "serve", "--config", self.configuration, "--host", "127.0.0.1", "--port", str(self.port),
             "--data", self.data, "--threads", "2"],
            log=f"{self.directory}/log", environment=self.environment, directory=self.directory,
        )

    async def ready(self, seconds):
        """Waits until the pod takes calls."""
        end = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.process.returncode}: see {self.directory}/log")
            answer = await http1.request(self.port, "GET", "/readyz", seconds=2)
            if answer.status == 200:
                return
            if time.monotonic() > end:
                raise BenchError(f"{self.name} was not ready within {seconds} s: see {self.directory}/log")
            await asyncio.sleep(0.05)

    def kill(self):
        self.kills += 1
        self.process.kill()
        self.process.wait()

    async def terminate(self, seconds):
        """SIGTERM. Returns the exit status; `None`: it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                return None
            await asyncio.sleep(0.02)
        return self.process.returncode

    def touched(self):
        self.clean_since = time.monotonic()

    def is_clean(self, seconds):
        """No fault was at work on this pod for so long."""
        return not self.lock.locked() and time.monotonic() - self.clean_since > seconds

    async def admin(self, method, path, fields=None, seconds=10):
        return await http1.request(self.port, method, path, MASTER_KEY, fields, seconds)

    def count_connections(self):
        """Sockets that the pod itself holds open to the database, from the kernel's table."""
        count = 0
        with open("/proc/net/tcp") as file:
            for line in file:
                words = line.split()
                if len(words) > 3 and words[3] == "01" and words[2].endswith(f":{self.link.port:04X}"):
                    count += 1
        self.connections_max = max(self.connections_max, count)
        return count

    async def run(self, *arguments):
        """Runs `martlet ARGUMENTS` for this pod. Returns exit status and output."""
        process = await asyncio.create_subprocess_exec(
            self.binary, *arguments, "--config", self.configuration, "--data", self.data,
            env={**os.environ, **self.environment}, stdout=asyncio.subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode(errors="replace")

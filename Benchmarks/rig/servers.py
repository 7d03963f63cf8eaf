"""The servers that are measured, and the mock provider behind them. Each knows its port, processes and version."""

import asyncio
import http.client
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time

import processes
from processes import BenchError

NGINX = """daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections 2048; }
http {
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    client_body_buffer_size 128k;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream provider {
        server 127.0.0.1:%(upstream)d;
        keepalive 512;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }
    server {
        listen 127.0.0.1:%(port)d backlog=4096;
        location / {
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }
    }
}
"""

HAPROXY = """global
    nbthread 1
    maxconn 1024
defaults
    mode http
    http-reuse always
    option http-no-delay
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend callers
    bind 127.0.0.1:%(port)d backlog 4096
    default_backend provider
backend provider
    server provider 127.0.0.1:%(upstream)d pool-max-conn 512
"""

MARTLET = """model_list:
  - model_name: mock
    litellm_params:
      model: openai/mock
      api_base: http://127.0.0.1:%(upstream)d/v1
      api_key: sk-up
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
"""


def call(port, method, path, body=None, key=None, timeout=10):
    """One request to 127.0.0.1: (status, body bytes)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def first_line(command):
    """The first line a command prints, on either stream; for versions. "unknown" when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else "unknown"


class Server:
    """A running server. `upstream` is the mock's port that only this server uses, so its calls can be counted."""

    name = ""
    key = "sk-none"
    ready_path = None  # None: ready when a call is answered
    process = None

    def __init__(self, directory, upstream, core):
        self.directory = os.path.join(directory, self.name)
        os.makedirs(self.directory, exist_ok=True)
        self.upstream, self.core = upstream, core
        self.port = processes.free_ports(1)[0]
        self.log = os.path.join(self.directory, "log")

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def launch(self, command, environment=None):
        """Starts the command and waits until the server answers. Returns the seconds that took."""
        begun = time.monotonic()
        self.process = processes.start(command, self.core, self.log, environment, self.directory)
        while time.monotonic() - begun < 60:
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}")
            if self.is_ready():
                return time.monotonic() - begun
            time.sleep(0.0005)
        raise BenchError(f"{self.name} did not become ready within 60 s:\n{self.log_tail()}")

    def is_ready(self):
        try:
            if self.ready_path:
                return call(self.port, "GET", self.ready_path, timeout=1)[0] == 200
            return call(self.port, "GET", "/stats", timeout=1)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def log_tail(self):
        with open(self.log, errors="replace") as file:
            return file.read()[-2000:]

    def pids(self):
        return processes.tree(self.process.pid) if self.process else []

    def stop(self):
        return processes.stop(self.process)


class Mock(Server):
    """The mock provider; `ports` has one port for each measured server."""

    name = "mock"

    def __init__(self, directory, program, core, count):
        super().__init__(directory, 0, core)
        self.program, self.ports = program, processes.free_ports(count)
        self.port = self.ports[0]

    def start(self):
        return self.launch([self.program] + [str(port) for port in self.ports])

    def stats(self, port):
        return json.loads(call(port, "GET", "/stats")[1])


class Direct(Server):
    """No server at all: the load generator talks to the mock. What remains is what the rig itself costs."""

    name = "direct"

    def start(self):
        self.port = self.upstream
        return 0.0

    def stop(self):
        return True

    def version(self):
        return "none"


class Nginx(Server):
    name = "nginx"

    def start(self):
        config = self.write("nginx.conf", NGINX % {"port": self.port, "upstream": self.upstream})
        return self.launch(["nginx", "-p", self.directory, "-e", "stderr", "-c", config])

    def version(self):
        return first_line(["nginx", "-v"]).split(": ")[-1]


class HAProxy(Server):
    name = "haproxy"

    def start(self):
        config = self.write("haproxy.cfg", HAPROXY % {"port": self.port, "upstream": self.upstream})
        return self.launch(["haproxy", "-db", "-f", config])

    def version(self):
        found = re.search(r"version (\S+)", first_line(["haproxy", "-v"]))
        return f"haproxy/{found.group(1)}" if found else "haproxy"


class Martlet(Server):
    """Martlet as a user runs it: virtual key, prices, metering, journal and SQLite ledger on."""

    name = "martlet"
    ready_path = "/readyz"
    program = ""  # set by bench.py

    def __init__(self, directory, upstream, core):
        super().__init__(directory, upstream, core)
        self.master_key = "sk-bench-" + secrets.token_hex(16)
        self.data = os.path.join(self.directory, "data")
        self.config = self.write("config.yaml", MARTLET % {"upstream": upstream})

    def start(self):
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        return self.launch(self.command("serve", *address), {"LITELLM_MASTER_KEY": self.master_key})

    def make_key(self):
        """Makes the virtual key that the load uses: one model allowed, a budget that counts but is not reached."""
        wish = {"key_alias": "bench", "models": ["mock"], "max_budget": 1_000_000}
        self.key = self.ask("/key/generate", wish)["key"]

    def ask(self, path, wish):
        status, body = call(self.port, "POST", path, wish, self.master_key)
        if status != 200:
            raise BenchError(f"martlet refused {path} with {status}: {body[:300].decode(errors='replace')}")
        return json.loads(body)

    def command(self, *words):
        """A CLI command against this server's configuration and data, such as `serve` or `ledger verify`."""
        return [self.program, *words, "--config", self.config, "--data", self.data]

    def version(self):
        source = os.path.dirname(os.path.abspath(__file__))
        revision = first_line(["git", "-C", source, "describe", "--always", "--dirty"])
        return f"{first_line([self.program, '--version'])} ({revision})"


class MartletUnbound(Martlet):
    """The same with a key that nothing binds: what admission costs is the difference to `martlet-bound`."""

    name = "martlet-unbound"

    def make_key(self):
        self.key = self.ask("/key/generate", {"key_alias": "bench", "models": ["mock"]})["key"]


class MartletBound(Martlet):
    """The same with four budgets and four limits on the way of each call, none of which is reached."""

    name = "martlet-bound"

    def make_key(self):
        much = {"max_budget": 1_000_000}
        rates = {"rpm_limit": 1_000_000_000, "tpm_limit": 1_000_000_000_000}
        organization = self.ask("/organization/new", {"organization_alias": "bench", **much})["organization_id"]
        team = self.ask("/team/new", {"team_alias": "bench", "organization_id": organization, **much, **rates})["team_id"]
        member = {"team_id": team, "member": {"user_id": "bench", "role": "user"}, "max_budget_in_team": 1_000_000}
        self.ask("/team/member_add", member)
        wish = {"key_alias": "bench", "models": ["mock"], "team_id": team, "user_id": "bench", **much, **rates}
        self.key = self.ask("/key/generate", wish)["key"]
        checks = self.ask("/utils/admission", {"model": "mock", "key": self.key})["checks"]
        kinds = sorted("budget" if check["type"] == "budget" else "limit" for check in checks)
        if kinds != ["budget"] * 4 + ["limit"] * 4:
            raise BenchError(f"not four budgets and four limits bind the call: {checks}")


class MartletOnPostgres(Martlet):
    """The same with its ledger in PostgreSQL: one pod of a fleet. The database shares the rig's core, so that the
    gateway's own CPU is all that its core shows."""

    name = "martlet-postgres"
    database = None
    room = None  # not in the run's directory, which the database's account may not reach; goes with the process

    def start(self):
        sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos"))
        import postgres  # only here, because the other servers need no database programs

        self.room = tempfile.TemporaryDirectory(prefix="martlet-bench-", ignore_cleanup_errors=True)
        os.chmod(self.room.name, 0o755)
        self.database = postgres.Server(f"{self.room.name}/postgres", False)
        self.database.create()
        asyncio.run(self.database.start())
        asyncio.run(self.database.demand("CREATE DATABASE bench", "postgres"))
        url = self.database.url("bench")
        self.config = self.write(
            "config.yaml", MARTLET % {"upstream": self.upstream} + f"general_settings:\n  database_url: {url}\n")
        return super().start()


KINDS = {
    kind.name: kind
    for kind in (Direct, Nginx, HAProxy, Martlet, MartletUnbound, MartletBound, MartletOnPostgres)
}

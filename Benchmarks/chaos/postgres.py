"""A PostgreSQL server of the run's own, with fsync on, and PgBouncer before it when asked for."""

import asyncio
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess

import processes
from processes import BenchError

USER = "martlet"
PASSWORD = "chaos"
DATABASE = "martlet"


def _programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    place = found[-1] if found else shutil.which("initdb")
    if not place:
        raise BenchError("PostgreSQL's server programs were not found: apt-get install postgresql")
    return os.path.dirname(place)


def _as_account(command):
    """PostgreSQL and PgBouncer refuse to run as root."""
    if os.geteuid() != 0:
        return command
    name = account()
    if not name:
        raise BenchError("PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody`")
    entry = _account(name)
    change = ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups", "--pdeathsig", "INT"]
    return ["setpriv", *change, *command]


def account():
    """Name of the account that the server runs as. `None`: the caller's own."""
    return next((name for name in ("postgres", "nobody") if _account(name)), None) if os.geteuid() == 0 else None


def _account(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


class Server:
    """`directory` must be reachable for the account that the server runs as. `settings`: lines of its configuration."""

    def __init__(self, directory, pooled, settings=()):
        self.settings = settings
        self.directory = directory
        self.data = f"{directory}/data"
        self.programs = _programs()
        self.port, self.pool_port = processes.free_ports(2)
        self.pooled = pooled
        self.disk = None  # of its log (WAL), when that has a small one of its own
        self.process = None
        self.pooler = None
        self.deadlocks = 0
        self._deadlocks_seen = 0

    @property
    def entry_port(self):
        """Where pods are led to."""
        return self.pool_port if self.pooled else self.port

    def url(self, database):
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self):
        os.makedirs(self.directory, exist_ok=True)
        password = f"{self.directory}/password"
        with open(password, "w") as file:
            file.write(PASSWORD + "\n")
        if name := account():
            os.chown(self.directory, _account(name).pw_uid, _account(name).pw_gid)
            os.chmod(password, 0o644)
        subprocess.run(
            _as_account([
                f"{self.programs}/initdb", "-D", self.data, "-U", USER, "-A", "scram-sha-256", "--pwfile", password,
                "-E", "UTF8", "--locale=C",
                *(["--waldir", f"{self.disk.path}/wal", "--wal-segsize", "1"] if self.disk else []),
            ]),
            check=True, stdout=subprocess.DEVNULL, cwd=self.directory,
        )
        with open(f"{self.data}/postgresql.auto.conf", "a") as file:
            file.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n"
                "max_connections = 100\nfsync = on\nsynchronous_commit = on\nlog_min_messages = warning\n"
                "deadlock_timeout = 200ms\n" + ("max_wal_size = 12MB\nmin_wal_size = 2MB\n" if self.disk else "")
                + "".join(f"{line}\n" for line in self.settings)
            )

    async def start(self):
        self.process = processes.start(
            _as_account([f"{self.programs}/postgres", "-D", self.data]), log=f"{self.directory}/server.log",
            directory=self.directory,
        )
        for _ in range(1200):
            if self.process.poll() is not None:
                raise BenchError(f"PostgreSQL ended with {self.process.returncode}: see {self.directory}/server.log")
            if await self.query("SELECT 1", "postgres") is not None:
                return
            await asyncio.sleep(0.05)
        raise BenchError(f"PostgreSQL was not ready within 60 s: see {self.directory}/server.log")

    async def stop_immediately(self):
        """As when the machine dies, but for what the kernel still writes: the next start recovers from the log."""
        self.process.send_signal(signal.SIGQUIT)
        while self.process.poll() is None:
            await asyncio.sleep(0.02)

    async def start_pooler(self):
        configuration = f"{self.directory}/pgbouncer.ini"
        with open(configuration, "w") as file:
            file.write(
                f"[databases]\n{DATABASE} = host=127.0.0.1 port={self.port} user={USER} password={PASSWORD}\n"
                f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.pool_port}\nunix_socket_dir =\n"
                "auth_type = any\npool_mode = transaction\nmax_client_conn = 200\ndefault_pool_size = 20\n"
                "server_login_retry = 1\nignore_startup_parameters = extra_float_digits\n"
            )
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        self.pooler = processes.start(
            _as_account([program, configuration]), log=f"{self.directory}/pgbouncer.log", directory=self.directory
        )

    async def query(self, text, database=DATABASE):
        """Lines of fields. `None`: the server does not answer, or refuses."""
        process = await asyncio.create_subprocess_exec(
            f"{self.programs}/psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-c", text,
            f"host=127.0.0.1 port={self.port} user={USER} dbname={database} connect_timeout=5 application_name=auditor",
            env={**os.environ, "PGPASSWORD": PASSWORD}, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 120)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
            return None
        if process.returncode != 0:
            return None
        return [line.split("\x1f") for line in output.decode().split("\n") if line]

    async def demand(self, text, database=DATABASE):
        lines = await self.query(text, database)
        if lines is None:
            raise BenchError(f"PostgreSQL did not answer: {text}")
        return lines

    async def sample(self):
        """When the connections were made, in seconds of `time.time()`, by `application_name`; counts deadlocks. `None`:
        the server is away."""
        lines = await self.query(
            "SELECT 'd', deadlocks::text FROM pg_stat_database WHERE datname = current_database() UNION ALL "
            "SELECT application_name, extract(epoch FROM backend_start)::text FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND application_name LIKE 'pod%'"
        )
        if lines is None:
            return None
        starts = {}
        for name, value in lines:
            starts.setdefault(name, []).append(float(value))
        # A crash of the server sets its statistics back to zero.
        deadlocks = int(sum(starts.pop("d", [])))
        self.deadlocks += deadlocks - (self._deadlocks_seen if deadlocks >= self._deadlocks_seen else 0)
        self._deadlocks_seen = deadlocks
        return starts

    def deadlocks_logged(self):
        return self._logged("deadlock detected")

    def disk_full_logged(self):
        return self._logged("No space left on device")

    def _logged(self, text):
        with open(f"{self.directory}/server.log", errors="replace") as file:
            return len(re.findall(text, file.read()))

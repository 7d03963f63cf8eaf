"""Processes of the rig: started pinned, measured from /proc, and ended by their pid whatever happens."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_started = []  # every process group we have begun and not yet ended


class BenchError(Exception):
    """Something the user has to mend; the message says what and how."""


def free_ports(count):
    """`count` distinct free ports of 127.0.0.1, where they can be below those that the kernel gives to outgoing
    connections: such a one would hold the port when its server starts, or starts again. Servers take them a moment
    later; a race shows as a failed start."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        end = int(file.read().split()[0])
    sockets = []
    while len(sockets) < count:
        held = socket.socket()
        try:
            held.bind(("127.0.0.1", random.randrange(end - 12000, end) if end > 16000 else 0))
            sockets.append(held)
        except OSError:
            held.close()
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def _prepare_child(core):
    def prepare():
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # survives exec: our death ends the child too
        if core is not None:
            os.sched_setaffinity(0, {core})

    return prepare


def start(command, core=None, log=None, environment=None, directory=None, stdout=None):
    """Starts `command` in a process group of its own, on one core (`None`: any). `log`: file that takes its output."""
    sink = open(log, "ab") if log else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout or sink,
            stderr=sink,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=_prepare_child(core),
        )
    except FileNotFoundError as error:
        raise BenchError(f"cannot start {command[0]}: {error.strerror}") from error
    finally:
        if log:
            sink.close()
    _started.append(process)
    try:
        with open(f"/proc/{process.pid}/autogroup", "w") as file:
            file.write("-20")  # ahead of other sessions' work; only root may, and only some kernels have it
    except OSError:
        pass
    return process


def stop(process, patience_seconds=15):
    """Asks the process to end, waits, then kills what is left of its group. Returns True when it ended by itself."""
    gentle = True
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            gentle = False
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()
    if process in _started:
        _started.remove(process)
    return gentle


def stop_all():
    """Ends everything still running, last started first."""
    for process in reversed(list(_started)):
        stop(process, patience_seconds=5)


def tree(pid):
    """The process and its descendants that live now."""
    pids = [pid]
    for parent in pids:  # grows while we walk it
        try:
            threads = os.listdir(f"/proc/{parent}/task")
        except FileNotFoundError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{parent}/task/{thread}/children") as file:
                    pids += [int(word) for word in file.read().split()]
            except FileNotFoundError:
                continue
    return pids


def cpu_seconds(pids):
    """CPU time (user + system, all threads) of these processes so far; those that have ended count nothing."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | 2)  # a process's CPU clock, see clock_getcpuclockid(3)
        except OSError:
            pass
    return total


def memory_mib(pids):
    """Resident memory of these processes in MiB: `rss` as the sum, `peak` as the sum of each one's highest."""
    sums = {"VmRSS": 0, "VmHWM": 0}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as file:
                for line in file:
                    name, _, value = line.partition(":")
                    if name in sums:
                        sums[name] += int(value.split()[0])
        except FileNotFoundError:
            pass
    return {"rss": round(sums["VmRSS"] / 1024, 1), "peak": round(sums["VmHWM"] / 1024, 1)}


def busy_seconds(cores):
    """Seconds these cores have spent in processes since boot: user, nice, system; no interrupts, idle or steal."""
    total = 0
    with open("/proc/stat") as file:
        for line in file:
            words = line.split()
            if words[0] in {f"cpu{core}" for core in cores}:
                total += sum(int(word) for word in words[1:4])
    return total / os.sysconf("SC_CLK_TCK")


def wait_until_idle(pids, limit_seconds=30.0):
    """Waits until the processes use less than 2 % of a core for 0.6 s. Returns False when the limit came first."""
    end = time.monotonic() + limit_seconds
    quiet, before = 0, cpu_seconds(pids)
    while quiet < 3:
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
        after = cpu_seconds(pids)
        quiet = quiet + 1 if after - before < 0.004 else 0
        before = after
    return True

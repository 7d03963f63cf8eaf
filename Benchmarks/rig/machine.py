"""What the figures were measured on: without this line they mean nothing."""

import os
import platform


def _cpu_model():
    names = {}
    with open("/proc/cpuinfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            names.setdefault(name.strip(), value.strip())
    return names.get("model name") or names.get("CPU part") or platform.machine()


def _memory_gib():
    with open("/proc/meminfo") as file:
        return round(int(file.readline().split()[1]) / 1024 / 1024, 1)


def _distribution():
    try:
        with open("/etc/os-release") as file:
            fields = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
        return fields.get("PRETTY_NAME", "Linux").strip('"')
    except FileNotFoundError:
        return "Linux"


def cores():
    """(core of the measured server, core of load generator and mock); both `None` when there is only one to use."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def describe(servers, server_core, driver_core):
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "kernel": platform.release(),
        "distribution": _distribution(),
        "pinning": "none: one core only" if server_core is None else f"server {server_core}, driver {driver_core}",
        "versions": {server.name: server.version() for server in servers},
    }


def facts_line():
    """The machine alone, in one line for people."""
    return f"{_cpu_model()}, {os.cpu_count()} cores, {_memory_gib()} GiB, {_distribution()}, Linux {platform.release()}"


def line(machine):
    """One line for people."""
    versions = ", ".join(f"{name}: {version}" for name, version in machine["versions"].items() if version != "none")
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['distribution']}, "
        f"Linux {machine['kernel']}; pinned: {machine['pinning']}; {versions}"
    )

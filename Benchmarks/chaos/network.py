"""A network between pods and database that can really be cut: pairs of virtual interfaces, the far ends in a network
namespace of their own. Needs root and `ip`."""

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
import threading

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Network:
    """One pair of interfaces for each pod: the pod's own end here, the database's in the namespace."""

    def __init__(self):
        self.name = f"chaos{os.getpid()}"

    def make(self, count):
        """Returns whether the system allowed it; else nothing is left of the attempt."""
        if os.geteuid() != 0 or not shutil.which("ip"):
            return False
        made = _ip("netns", "add", self.name) and _ip("-n", self.name, "link", "set", "lo", "up")
        made = made and all(self._pair(index) for index in range(count))
        if not made:
            self.close()
        return made

    def _pair(self, index):
        near, far = self._ends(index)
        return (
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
            # A block that RFC 2544 keeps for tests of networks.
            and _ip("address", "add", f"198.18.{index}.1/30", "dev", near)
            and _ip("-n", self.name, "address", "add", f"{self.host(index)}/30", "dev", far)
            and _ip("link", "set", near, "up") and _ip("-n", self.name, "link", "set", far, "up")
        )

    def _ends(self, index):
        return f"ch{os.getpid() % 100000}n{index}", f"ch{os.getpid() % 100000}f{index}"

    def host(self, index):
        """Where the database is, for this pod."""
        return f"198.18.{index}.2"

    def listen(self, index):
        """A listening socket on the database's side of the pair."""
        made = []

        def work():
            # The namespace is the thread's, and a socket stays in the one where it was made.
            with open(f"/run/netns/{self.name}") as file:
                if _LIBC.setns(file.fileno(), _CLONE_NEWNET) == 0:
                    made.append(socket.create_server((self.host(index), 0), backlog=128))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return made[0]

    async def cut(self, index, port):
        """Takes the far end down: what is sent vanishes, and nobody is told. Returns whether nothing gets through."""
        _ip("-n", self.name, "link", "set", self._ends(index)[1], "down")
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(self.host(index), port), 0.3)
            writer.transport.abort()
            return False
        except (OSError, asyncio.TimeoutError):
            return True

    def mend(self, index):
        _ip("-n", self.name, "link", "set", self._ends(index)[1], "up")

    def close(self):
        """The pairs go with the namespace."""
        _ip("netns", "delete", self.name)


def _ip(*words):
    return subprocess.run(["ip", *words], stderr=subprocess.DEVNULL).returncode == 0

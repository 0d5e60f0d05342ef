# SPDX-License-Identifier: MIT
"""Two network namespaces joined by a cable that can be pulled. Needs root, ip and nft.

What is made inside `with cable.near:` or `cable.far:` (sockets, processes) belongs to that end.
"""
import ctypes
import os
import subprocess
import unittest

import harness

CLONE_NEWNET = 0x40000000

PULLED = """
table inet pulled {
        chain arriving {
                type filter hook prerouting priority -300
                policy drop
                iif lo accept
        }
}
"""

NARROW = """
table inet narrow {{
        chain arriving {{
                type filter hook prerouting priority -300
                iif != lo meta length > {size} drop
        }}
}}
"""

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(file):
    if _libc.setns(file.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise AssertionError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


class Namespace:
    """One end: a context manager in which this thread, and what it starts, is there."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.path = f"/run/netns/{name}"
        self._before = []

    def __enter__(self):
        self._before.append(open("/proc/thread-self/ns/net", "rb"))
        with open(self.path, "rb") as there:
            _setns(there)
        return self

    def __exit__(self, *_):
        with self._before.pop() as back:
            _setns(back)

    def run(self, *command):
        return run("ip", "netns", "exec", self.name, *command)


class Cable:
    """The two ends, and what happens between them."""

    def __init__(self):
        if os.geteuid():
            raise unittest.SkipTest("network namespaces need root")
        harness.need("ip", "nft")
        self.near = Namespace(f"ftcp-near-{os.getpid()}", "192.0.2.1")
        self.far = Namespace(f"ftcp-far-{os.getpid()}", "192.0.2.2")
        try:
            self._lay()
            self.pull()
            self.plug()
        except AssertionError as error:
            self.close()
            raise unittest.SkipTest(f"no network namespaces here: {error}") from None
        except BaseException:
            self.close()
            raise

    def _lay(self):
        run("ip", "netns", "add", self.near.name)
        run("ip", "netns", "add", self.far.name)
        self.near.run(
            *("ip", "link", "add", "cable", "type", "veth"),
            *("peer", "name", "cable", "netns", self.far.name),
        )
        for end in (self.near, self.far):
            end.run("ip", "address", "add", f"{end.address}/30", "dev", "cable")
            end.run("ip", "link", "set", "lo", "up")
            end.run("ip", "link", "set", "cable", "up")

    def pull(self):
        """From now on no packet arrives at either end, and nobody is told."""
        for end in (self.near, self.far):
            end.run("nft", PULLED)

    def plug(self):
        """Packets pass again."""
        for end in (self.near, self.far):
            end.run("nft", "delete", "table", "inet", "pulled")

    def narrow(self, size):
        """From now on no packet above this size arrives at the far end, and nobody is told."""
        self.far.run("nft", NARROW.format(size=size))

    def close(self):
        for end in (self.near, self.far):
            subprocess.run(
                ["ip", "netns", "delete", end.name], capture_output=True, check=False
            )


class Annex(Namespace):
    """A network namespace behind a veth pair, whose near end is in the network of a process."""

    def __init__(self, pid):
        harness.need("ip", "nsenter")
        super().__init__(f"ftcp-annex-{os.getpid()}", "192.0.2.2")
        run("ip", "netns", "add", self.name)
        try:
            self.run("ip", "link", "add", "cable", "type", "veth",
                     "peer", "name", "cable", "netns", str(pid))
            for inside, address in ((self.run, self.address), (self._beside(pid), "192.0.2.1")):
                inside("ip", "address", "add", f"{address}/30", "dev", "cable")
                inside("ip", "link", "set", "cable", "up")
        except AssertionError as error:
            self.close()
            raise unittest.SkipTest(f"no veth pair here: {error}") from None

    @staticmethod
    def _beside(pid):
        return lambda *command: run("nsenter", f"--target={pid}", "-n", "--", *command)

    def close(self):
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)

# SPDX-License-Identifier: MIT
"""Nothing of ftcpd's own memory leaves it: no address, and no byte that was never written.

The first is looked for in all that an ordinary ftcpd says, and in its state; the second by valgrind,
which tells of an uninitialised byte in a system call, and of the state when it is asked.
"""
import base64
import os
import re
import socket
import struct
import subprocess

import harness
from local import wait_listed
from manager import Managed, ManagedTest

BELOW = ("[Upstream]\nReconnectDelay=50ms\nGreeting=hello\nGreetingExpect=welcome\n"
         "[Heartbeat]\nInterval=100ms\nTimeout=0\nMessage=beat\n"
         "[Delivery]\nHoldSize=1M\nMessageTTL=1h\nSlowClient=drop\n[Service]\nStopTimeout=100ms\n")
ASKED = ("Status", "Health", "ListClients", "RecentEvents", "GetConfig", "GetMetrics", "GetLatency",
         "Hold", "Release", "Reload", "DropClient", "SetLogLevel", "Flush", "NoSuchMethod")
ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class Passed(Managed):
    """With a TCP socket for clients besides the others, and all messages to its manager kept."""
    tcp, words = None, b""

    def configure(self, config):
        super().configure(config)
        if not self.tcp:
            self.tcp = socket.create_server(("127.0.0.1", 0))
            self.sockets.append(("data", self.tcp))

    def _hear(self, lines, fds):
        self.words += "\n".join(lines).encode()
        super()._hear(lines, fds)


class Checked(Passed):
    """Under valgrind."""

    def command(self):
        shell, option, script, name, *ftcpd = super().command()
        return [shell, option, script, name, "valgrind", "--leak-check=no",
                f"--log-file={self.directory}/valgrind", f"--vgdb-prefix={self.directory}/vgdb",
                *ftcpd]

    def complaints(self):
        """All that valgrind says but how it begins."""
        with open(f"{self.directory}/valgrind", encoding="utf-8", errors="replace") as file:
            return [line for line in file if re.search(r"uninitialised|Invalid|points to", line)]


class Leaks(ManagedTest):
    daemon_class = Passed

    def use(self, daemon, upstream):
        """Has the daemon do most of what it does; returns all that it said, without its framing."""
        said = []

        def ask(method, **parameters):
            with harness.Varlink(daemon.control_path) as varlink:
                varlink.send({"method": f"io.ftcpd.{method}", "parameters": parameters})
                said.append(varlink.recv())

        session = upstream.accept()
        session.expect(b"hello")
        session.send(b"welcome", b"kept for the first one")
        daemon.wait_state("up")
        local = daemon.client()
        local.expect(b"kept for the first one")
        remote = harness.Framed(socket.create_connection(daemon.tcp.getsockname()))
        self.addCleanup(remote.close)
        daemon.wait_clients(2)
        taps = [harness.Varlink(daemon.control_path) for _ in range(2)]
        for varlink, method, parameters in zip(taps, ("Tap", "Monitor"), ({}, {"history": 100})):
            self.addCleanup(varlink.close)
            varlink.send({"method": f"io.ftcpd.{method}", "parameters": parameters, "more": True})
        said.append(taps[1].recv())
        for client in (local, remote):
            client.send(b"up", b"")
            session.expect(b"up", b"")
        session.send(b"beat", b"down", b"x" * 300_000)
        for client in (local, remote):
            client.expect(b"down", b"x" * 300_000)
        remote.send_raw(b"\0\0\0\x09part")
        wait_listed(daemon, lambda c: c.get("partial"), "a part of a message")
        session.send_raw(b"\0\0\0\x09part")
        for method in ASKED:
            ask(method, **{"DropClient": {"id": 99}, "SetLogLevel": {"level": "debug"},
                           "Flush": {"timeoutUsec": 0}}.get(method, {}))
        session = upstream.accept()  # Hold has closed the one before
        session.expect(b"hello")
        session.send(b"welcome")
        daemon.wait_state("up")
        local.close()
        for method in ("ListClients", "Status", "GetMetrics", "RecentEvents"):
            ask(method)
        for _ in range(3):
            said.append(taps[0].recv())
        return said

    def texts(self, said):
        """Every string of the replies as the bytes that it stands for."""
        if isinstance(said, dict):
            for name, value in said.items():
                yield from ([base64.b64decode(value)] if name == "message" else self.texts(value))
        elif isinstance(said, list):
            for value in said:
                yield from self.texts(value)
        elif isinstance(said, str):
            yield ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), said.encode())
        elif isinstance(said, int):
            yield struct.pack("<Q", said & (1 << 64) - 1)

    def regions(self, daemon):
        """The daemon's memory that can be written to, or is code: (begin, end)."""
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as file:
            for line in file:
                begin, end = (int(part, 16) for part in line.split()[0].split("-"))
                if "vsyscall" not in line:
                    yield begin, min(end, begin + (1 << 30))

    def state(self, daemon):
        """The extents of the state: the descriptor of a copy of it, and (begin, end) of each."""
        folder = f"/proc/{daemon.pid}/fd"
        name = next(fd for fd in os.listdir(folder)
                    if os.readlink(f"{folder}/{fd}").startswith("/memfd:ftcpd (deleted)"))
        fd, at = os.open(f"{folder}/{name}", os.O_RDONLY), 0
        self.addCleanup(os.close, fd)
        while True:
            try:
                begin = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(fd, begin, os.SEEK_HOLE)
            yield fd, begin, at

    def linked_in(self):
        upstream = self.upstream(heartbeat=None, skip=(b"beat",))
        return upstream, self.managed_with(f"{BELOW}[Upstream]\nAddress={upstream.address}\n")

    def managed_with(self, config, **env):
        daemon = self.daemon_class.__new__(self.daemon_class)
        self.daemons.append(daemon)
        start = daemon.start

        def start_with(wait=True):
            daemon.more_env.update(env)
            start(wait)

        daemon.start = start_with
        daemon.__init__(config)
        return daemon

    def test_a_row_of_a_tcp_client_has_its_address_and_no_program(self):
        upstream, daemon = self.linked_in()
        said = self.use(daemon, upstream)
        lists = [reply.get("parameters", {}).get("clients") for reply in said]
        rows = [row for rows in lists if isinstance(rows, list) for row in rows]
        remote = [row for row in rows if "peer" in row]
        self.assertEqual(len(remote), 2, rows)
        for row in remote:
            self.assertFalse({"program", "pid", "uid", "gid"} & set(row), row)
        _, table, _ = daemon.ctl("clients")
        self.assertRegex(table, r"(?m)^ *\d+ +- +- +127\.0\.0\.1:\d+ ")

    def test_no_address_of_its_memory_is_in_what_it_says_nor_in_its_state(self):
        upstream, daemon = self.linked_in()
        said = self.use(daemon, upstream)
        regions = list(self.regions(daemon))
        # The upper half of an address tells where the memory is; the lower bytes of one vary.
        marks = {struct.pack("<Q", at)[2:6] for begin, end in regions
                 for at in range(begin, end, 1 << 16)}
        for text in [*self.texts(said), daemon.words, daemon.log.encode()]:
            self.assertFalse({text[at:at + 4] for at in range(len(text))} & marks, text)
        words, lowest = 0, min(begin for begin, _ in regions)
        for fd, begin, end in self.state(daemon):
            part = os.pread(fd, end - begin, begin)
            for word, in struct.iter_unpack("<Q", part[:len(part) // 8 * 8]):
                words += word != 0
                self.assertFalse(word >= lowest and any(low <= word < high
                                                        for low, high in regions), hex(word))
        self.assertGreater(words, 100)


class Uninitialised(Leaks):
    """The same under valgrind."""
    daemon_class = Checked
    test_a_row_of_a_tcp_client_has_its_address_and_no_program = None
    test_no_address_of_its_memory_is_in_what_it_says_nor_in_its_state = None

    def linked_in(self):
        harness.need("valgrind", "vgdb")
        upstream = self.upstream(heartbeat=None, skip=(b"beat",))
        library = self.preload("small_store.c")
        return upstream, self.managed_with(f"{BELOW}[Upstream]\nAddress={upstream.address}\n",
                                           LD_PRELOAD=library)

    def check_state(self, daemon):
        """Asks valgrind whether every byte of the state was written by what is known."""
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as file:
            line = next(line for line in file if "/memfd:ftcpd (deleted)" in line)
        base = int(line.split("-")[0], 16) - int(line.split()[2], 16)
        extents = list(self.state(daemon))
        self.assertTrue(extents)
        for _, begin, end in extents:
            told = subprocess.run(["vgdb", f"--pid={daemon.pid}",
                                   f"--vgdb-prefix={daemon.directory}/vgdb", "check_memory",
                                   "defined", hex(base + begin), str(end - begin)],
                                  text=True, capture_output=True, timeout=harness.DEADLINE,
                                  check=False)
            self.assertRegex(told.stdout, r"len \d+ defined", told.stdout + told.stderr)

    def test_no_byte_that_was_never_written_leaves_it(self):
        upstream, daemon = self.linked_in()
        self.use(daemon, upstream)
        self.check_state(daemon)
        self.assertEqual(daemon.complaints(), [])
        daemon.crash()
        daemon.call("ListClients")
        self.check_state(daemon)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.complaints(), [])


if __name__ == "__main__":
    harness.main()

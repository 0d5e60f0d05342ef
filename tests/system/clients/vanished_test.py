# SPDX-License-Identifier: MIT
"""A client by TCP whose host is gone says no goodbye: the kernel's probes notice it."""
import os
import re
import socket
import struct
import unittest

import harness
from cable import Cable
from harness import until
from manager import Managed, ManagedTest

IDLE, INTERVAL, COUNT = 60, 15, 4  # as ftcpd(8) says
PIDFD_GETFD = 438
LAST_ACK_RECV = 56  # where tcpi_last_ack_recv stands
QUIET = "[Heartbeat]\nInterval=0\nTimeout=0\n"
OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
)


class Passed(Managed):
    """With a TCP socket for clients, which listens before ftcpd starts."""

    more_sockets, near, unit, library = (), None, (), None

    def configure(self, config):
        if not self.more_sockets:
            self.tcp = socket.create_server((self.near.address if self.near else "127.0.0.1", 0))
            for level, name, value in self.unit:
                self.tcp.setsockopt(level, name, value)
            self.more_sockets = [("data", self.tcp)]
        super().configure(config)
        if self.library:
            self.more_env = {"LD_PRELOAD": self.library}

    def by_tcp(self):
        client = harness.Framed(socket.create_connection(self.tcp.getsockname()))
        self._clients.append(client)
        return client

    def copies(self):
        """Of ftcpd's sockets of the clients by TCP; the caller closes them."""
        found = []
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                if not os.readlink(f"/proc/{self.pid}/fd/{name}").startswith("socket:"):
                    continue
                sock = socket.socket(fileno=_copy(self.pid, int(name)))
            except OSError:
                continue  # it was closed meanwhile
            if self._is_client(sock):
                found.append(sock)
            else:
                sock.close()
        return found

    def probes(self):
        """What these sockets have of OPTIONS."""
        found = []
        for sock in self.copies():
            with sock:
                found.append(tuple(sock.getsockopt(*option) for option in OPTIONS))
        return found

    def _is_client(self, sock):
        try:
            return sock.getsockname() == self.tcp.getsockname() and bool(sock.getpeername())
        except OSError:
            return False


def _copy(pid, number):
    """A copy of another process's descriptor."""
    process = os.pidfd_open(pid)
    try:
        copy = harness._libc.syscall(PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if copy < 0:
        raise unittest.SkipTest("pidfd_getfd() is not allowed here")
    return copy


class Probes(ManagedTest):
    daemon_class = Passed

    def test_each_tcp_client_is_probed_also_after_a_restart_and_a_crash(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{QUIET}")
        first = daemon.by_tcp()
        daemon.wait_clients(1)
        wanted = (1, IDLE, INTERVAL, COUNT, 0)
        self.assertEqual(daemon.probes(), [wanted])
        daemon.crash()
        second = daemon.by_tcp()
        daemon.wait_clients(2)
        self.assertEqual(daemon.probes(), [wanted] * 2)
        session = upstream.accept()
        session.send(b"whole")
        first.expect(b"whole")
        second.expect(b"whole")

    def test_a_client_that_an_earlier_build_left_is_probed_too(self):
        daemon = self.daemon(f"[Upstream]\nAddress=127.0.0.1:1\n{QUIET}")
        daemon.by_tcp()
        daemon.wait_clients(1)
        with daemon.copies()[0] as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        daemon.crash()
        daemon.wait_clients(1)
        self.assertEqual(daemon.probes(), [(1, IDLE, INTERVAL, COUNT, 0)])

    def test_the_socket_units_own_keepalive_holds(self):
        class OfUnit(Passed):
            unit = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2))

        self.daemon_class = OfUnit
        daemon = self.daemon(f"[Upstream]\nAddress=127.0.0.1:1\n{QUIET}")
        daemon.by_tcp()
        daemon.wait_clients(1)
        self.assertEqual(daemon.probes(), [(1, 7, 3, 2, 0)])

    def test_the_manual_tells_the_numbers(self):
        with open(os.path.join(harness.TOP, "man", "ftcpd.8"), encoding="utf-8") as file:
            text = re.sub(r"\s+", " ", file.read())
            text = text[text.index("whose host is gone"):]
        minutes = (IDLE + INTERVAL * COUNT) // 60
        for words in (f"{IDLE} seconds", f"{INTERVAL} seconds", f"{minutes} minutes", "KeepAlive="):
            self.assertTrue(words in text, words)


class Vanished(ManagedTest):
    daemon_class = Passed

    def setUp(self):
        super().setUp()
        self.cable = Cable()
        self.addCleanup(self.cable.close)

    def start(self):
        """ftcpd with probes each second."""
        class Near(Passed):
            near, library = self.cable.near, self.preload("../clients/hasty.c")

        self.daemon_class = Near
        with self.cable.near:
            return self.daemon(f"[Upstream]\nAddress=127.0.0.1:1\n{QUIET}")

    def client(self, daemon):
        with self.cable.far:
            return daemon.by_tcp()

    def test_a_client_whose_host_is_gone_is_noticed_and_told(self):
        daemon = self.start()
        self.client(daemon)
        daemon.client()
        daemon.wait_clients(2)
        self.cable.pull()
        daemon.wait_clients(1)
        daemon.wait_log(r"192\.0\.2\.2.* is disconnected: its host does not answer any more$")

    def test_one_that_said_goodbye_and_is_sent_nothing_is_noticed_too(self):
        daemon = self.start()
        client = self.client(daemon)
        daemon.wait_clients(1)
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
        client.close()
        daemon.wait_clients(0)
        self.assertNotIn("does not answer", daemon.log)

    def test_a_client_that_lives_and_is_silent_stays(self):
        daemon = self.start()
        self.client(daemon)
        daemon.wait_clients(1)
        with daemon.copies()[0] as copy:
            answers, before = 0, 0

            def answered():
                nonlocal answers, before
                info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                ago = struct.unpack_from("=I", info, LAST_ACK_RECV)[0]
                answers, before = answers + (ago < before), ago
                return answers > COUNT

            until(answered, "answers to the probes")
        self.assertEqual(daemon.status()["clients"], 1)


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""A host without memory for a send or a receive: nothing ends, nothing is lost, nothing spins."""
import os
import socket
import subprocess
import time

import harness
from harness import stamp, until
from local import check_books

CONFIG = ("[Heartbeat]\nInterval=0\nTimeout=500ms\n[Frame]\nTimeout=500ms\n"
          "[Delivery]\nStallTimeout=500ms\nClientStallTimeout=500ms\nSlowClientGrace=100ms\n")


class ShortMemory(harness.SystemTest):
    def setUp(self):
        super().setUp()
        library = self.preload("short.c")
        self.short = os.path.join(os.path.dirname(library), "short")
        self.env = {"LD_PRELOAD": library, "FTCPD_SHORT": self.short,
                    "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def connected(self, config):
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{config}", env=self.env)
        return upstream, daemon, upstream.accept()

    def begin(self):
        with open(self.short, "w", encoding="ascii"):
            pass

    def failures(self):
        path = self.short + ".count"
        return os.path.getsize(path) if os.path.exists(path) else 0

    def test_everything_goes_on_afterwards(self):
        """The times that end a connection are shorter than the shortage."""
        upstream, daemon, session = self.connected(CONFIG)
        client = daemon.client(skip={b""})  # Interval=0: heartbeats are messages
        daemon.wait_clients(1)
        session.send(b"in 0")
        client.expect(b"in 0")
        half = client.frame.wrap(b"out 1")
        client.send_raw(half[:5])
        session.send_raw(half[:5])
        self.begin()
        client.send_raw(half[5:])
        session.send_raw(half[5:])
        until(lambda: self.failures() > 100, "a shortage of more than half a second")
        os.unlink(self.short)
        session.expect(b"out 1")
        client.expect(b"out 1")
        session.send(*[stamp(1, i) for i in range(100)])
        client.send(*[stamp(2, i) for i in range(100)])
        client.expect(*[stamp(1, i) for i in range(100)])
        session.expect(*[stamp(2, i) for i in range(100)])
        status = daemon.status()
        check_books(status)
        self.assertEqual(status["upstream"]["connects"], 1)
        self.assertEqual((status["clients"], status["clientsAccepted"]), (1, 1))

    def test_a_queue_that_waits_for_memory_is_written_then(self):
        upstream, daemon, session = self.connected(CONFIG.replace("Timeout=500ms", "Timeout=0"))
        client = daemon.client(skip={b""})  # Interval=0: heartbeats are messages
        daemon.wait_clients(1)
        daemon.freeze()
        session.send(*[stamp(1, i, bytes(1000)) for i in range(50)])
        client.send(*[stamp(2, i, bytes(1000)) for i in range(50)])
        daemon.thaw()
        client.expect(stamp(1, 0, bytes(1000)))
        session.expect(stamp(2, 0, bytes(1000)))
        self.begin()
        session.send(b"behind")
        client.send(b"behind")
        until(lambda: self.failures() > 4, "tries")
        os.unlink(self.short)
        client.expect(*[stamp(1, i, bytes(1000)) for i in range(1, 50)], b"behind")
        session.expect(*[stamp(2, i, bytes(1000)) for i in range(1, 50)], b"behind")

    def test_nothing_spins(self):
        """The link, two clients and a program at the control socket: a try each in 10 ms."""
        _, daemon, session = self.connected("")
        clients = [daemon.client() for _ in range(2)]
        daemon.wait_clients(2)
        control = socket.socket(socket.AF_UNIX)
        self.addCleanup(control.close)
        control.connect(daemon.control_path)
        self.begin()
        began = time.monotonic()
        session.send(b"in")
        for client in clients:
            client.send(b"out")
        control.sendall(b'{"method":"org.varlink.service.GetInfo"}\0')
        until(lambda: self.failures() >= 120, "tries")
        self.assertLess(self.failures(), 40 + 8 * 100 * (time.monotonic() - began))
        os.unlink(self.short)
        self.assertIn(b"ftcpd", control.recv(65536))
        session.expect(b"out", b"out")
        for client in clients:
            client.expect(b"in")

    def test_a_connection_that_lingers_is_read_on_and_does_not_spin(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n[Heartbeat]\nInterval=0\nTimeout=0\n",
            env=self.env)
        session, messages = upstream.accept(), [stamp(1, i) for i in range(100)]
        daemon.client().send(*messages)
        daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 100, "all to go")
        daemon.call("Reconnect")
        upstream.accept()
        daemon.wait_log("the old connection is shut down")
        self.begin()
        began = time.monotonic()
        session.send(b"is thrown away")
        until(lambda: self.failures() >= 30, "tries")
        self.assertLess(self.failures(), 40 + 4 * 100 * (time.monotonic() - began))
        os.unlink(self.short)
        session.expect(*messages)
        self.assertEqual(session.expect_end(), "closed")

    def test_ftcpctl_tries_again(self):
        _, daemon, session = self.connected("")
        self.begin()
        command = subprocess.Popen([harness.program("ftcpctl"), "--socket", daemon.control_path,
                                    "send", "late"], env={**os.environ, **self.env})
        self.addCleanup(command.wait)
        self.addCleanup(command.kill)
        until(lambda: self.failures() > 5, "tries")
        os.unlink(self.short)
        session.expect(b"late")
        self.assertEqual(command.wait(harness.DEADLINE), 0)

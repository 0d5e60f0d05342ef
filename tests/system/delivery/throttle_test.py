# SPDX-License-Identifier: MIT
"""ftcpd does not read ahead of what takes its messages, and yet holds nobody up."""
import fcntl
import os
import socket
import struct
import subprocess
import termios
import threading
import time

import harness
from harness import program, stamp, until
from local import queue_of, wait_listed

SO_SNDBUFFORCE = 32
KIB = b"k" * 1024


def unread(sock):
    """Bytes that were sent and not yet read by the other end."""
    value = bytearray(4)
    fcntl.ioctl(sock, termios.TIOCOUTQ, value)
    return struct.unpack("i", value)[0]


def sleeps(daemon):
    """How often it has slept."""
    with open(f"/proc/{daemon.pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))


class BlockedLink(harness.SystemTest):
    """The upstream takes nothing, and UpstreamQueueSize= has room."""

    def blocked(self, clients, config=""):
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{config}")
        session = upstream.accept()
        daemon.wait_state("up")
        first, *others = [daemon.client() for _ in range(1 + clients)]
        daemon.wait_clients(1 + clients)
        first.send(*[stamp(0, n, KIB) for n in range(4000)])
        until(lambda: not unread(first.sock), "all to be read")
        self.before = daemon.status()["toUpstream"]["accepted"]["messages"]
        return daemon, session, others

    def take(self, daemon, clients, send):
        """While it stands still they send; returns how often it slept until it had read all."""
        daemon.freeze()
        for client in clients:
            send(client.sock)
        before = sleeps(daemon)
        daemon.thaw()
        until(lambda: not any(unread(client.sock) for client in clients), "all to be read")
        return sleeps(daemon) - before

    def test_one_message_of_each_of_many_is_taken_at_once(self):
        daemon, _, clients = self.blocked(300)
        frame = clients[0].frame.wrap(b"one")
        slept = self.take(daemon, clients, lambda sock: sock.sendall(frame))
        self.assertLess(slept, 150)
        self.assertEqual(daemon.status()["toUpstream"]["accepted"]["messages"], self.before + 300)

    def test_all_that_a_few_have_sent_is_taken_at_once(self):
        daemon, _, clients = self.blocked(4)
        frames = clients[0].frame.wrap(KIB) * 2000

        def fill(sock):
            sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
            sock.sendall(frames)

        slept = self.take(daemon, clients, fill)
        self.assertLess(slept, 70)  # in pieces of 60 KiB it were 137
        self.assertEqual(daemon.status()["toUpstream"]["accepted"]["messages"], self.before + 8000)

    @harness.in_time
    def test_while_it_lasts_it_costs_next_to_nothing_though_clients_wait(self):
        daemon, _, clients = self.blocked(2, "[Frame]\nMaxMessageSize=1M\n")
        daemon.reconfigure("[Delivery]\nUpstreamQueueSize=1M\n")
        for client in clients:
            client.sock.sendall(client.frame.wrap(KIB))
        wait_listed(daemon, lambda c: c["id"] == 3, "the last")
        before = sleeps(daemon)
        time.sleep(2)
        self.assertLess(sleeps(daemon) - before, 200)
        self.assertTrue(all(unread(client.sock) for client in clients))


class BusyPoll(harness.SystemTest):
    """Where bytes follow each other closely, the next ones are waited for awake."""

    def setUp(self):
        super().setUp()
        self.library = self.preload("yields.c")
        self.counted = os.path.join(os.path.dirname(self.library), "yields")

    def yields(self):
        return os.path.getsize(self.counted) if os.path.exists(self.counted) else 0

    def daemon_of(self, address):
        return self.daemon(f"[Upstream]\nAddress={address}\n[Heartbeat]\nTimeout=0\n"
                           "[Delivery]\nSlowClient=wait\n",
                           env={"LD_PRELOAD": self.library, "FTCPD_YIELDS": self.counted,
                                "ASAN_OPTIONS": "verify_asan_link_order=0"})

    def yields_in_bulk(self, work):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        daemon, before = self.daemon_of(f"127.0.0.1:{port}"), self.yields()
        load = os.path.join(os.path.dirname(program("ftcpd")), "bench-load")
        subprocess.run([load, "--socket", daemon.data_path, "--port", str(port), "--work", work,
                        "--size", "4096", "--count", "30000"], check=True, capture_output=True)
        return self.yields() - before

    def test_in_a_stream_either_way(self):
        for work in ("up", "down"):
            until(lambda work=work: self.yields_in_bulk(work), "one short wait")

    def test_one_message_at_a_time_is_waited_for_asleep(self):
        upstream = self.upstream()
        daemon = self.daemon_of(upstream.address)
        session, client = upstream.accept(), daemon.client()
        for n in range(300):
            client.send(stamp(0, n, KIB))
            session.send(session.recv())
            client.recv()
        self.assertEqual(self.yields(), 0)


class SlowClient(harness.SystemTest):
    """Who reads all the time, but slower than the upstream sends."""

    @harness.in_time
    def test_with_drop_the_upstream_does_not_go_at_its_pace(self):
        _, daemon, session = self.linked("[Delivery]\nClientQueueSize=64K\nSlowClient=drop\n")
        client, got = daemon.client(), 0
        daemon.wait_clients(1)
        sender = threading.Thread(target=session.send, args=[KIB] * 60_000)
        sender.start()
        while sender.is_alive():
            got += len(client.sock.recv(65536))
            time.sleep(0.004)
        sender.join()
        self.assertLess(got, 60_000 * len(KIB) // 2)


class QuickClient(harness.SystemTest):
    """Who reads as fast as it can finds its queue never filled by one read."""

    def most_queued(self, size):
        """For a client that takes nothing, when the upstream has sent much more in one go."""
        _, daemon, session = self.linked(f"[Delivery]\nClientQueueSize={size}\nSlowClient=wait\n")
        hangs = daemon.client()
        daemon.wait_clients(1)
        daemon.freeze()
        messages = [stamp(0, n, KIB) for n in range(16_000)]
        sender = threading.Thread(target=session.send, args=messages)
        sender.start()
        until(lambda: unread(session.sock) > 1 << 20, "much to be there")
        daemon.thaw()
        daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        most = queue_of(daemon)["bytes"]
        hangs.close()  # and the sender comes to its end
        sender.join()
        return most

    def test_what_is_read_at_once_is_a_small_part_of_a_clients_queue(self):
        for size in (1 << 20, 1 << 16):
            self.assertLess(self.most_queued(size), size + size // 8 + 2048)


if __name__ == "__main__":
    harness.main()

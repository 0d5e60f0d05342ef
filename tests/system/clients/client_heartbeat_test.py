# SPDX-License-Identifier: MIT
"""[Local] HeartbeatInterval=: heartbeats for idle clients, whole and alone, and in no book."""
import os
import socket
import time

import harness
from harness import Frame, Framed, until
from local import MOMENT, check_books
from manager import Managed, ManagedTest

QUICK = "[Local]\nHeartbeatInterval=100ms\n"
SOME = 3  # heartbeats in a row
LARGE = 4 << 20


class ByTcp(Managed):
    """A daemon that listens by TCP, too."""

    def connect(self):
        client = Framed(socket.create_connection(self.more_sockets[0][1].getsockname()))
        self._clients.append(client)
        return client


def unread(client):
    """The messages in a client's socket, without waiting for more."""
    messages = []
    try:
        while True:
            messages.append(client.recv(0))
    except TimeoutError:
        return messages


class Idle(harness.SystemTest):
    def idle(self, config="", clients=1, frame=None, **options):
        upstream, daemon, session = self.linked(QUICK + (frame or Frame()).config() + config,
                                                frame=frame, **options)
        readers = [daemon.client(frame) for _ in range(clients)]
        daemon.wait_clients(clients)
        return upstream, daemon, session, *readers

    def test_it_is_the_first_heartbeat_of_the_upstream_in_any_frame(self):
        whole = b"\0\7beat"
        offset = Frame(size=2, offset=2)
        for frame, config, beat in (
                (Frame(), "", b""),
                (Frame(), "Received=PONG\nReceived=late\nMessage=PING\n", b"PONG"),
                (Frame(), "Received=\nMessage=PING\n", b"PING"),
                (Frame(size=3, form="decimal"), "Message=PING\n", b"PING"),
                (Frame(delimiter=b"\r\n"), "Message=PING\n", b"PING"),
                (offset, "Message=ab\\0\\2cd\n", b"ab\0\2cd")):
            with self.subTest(frame=frame.config(), config=config):
                _, daemon, session, client = self.idle("[Heartbeat]\nTimeout=0\n" + config,
                                                       frame=frame, heartbeat=None)
                client.expect(*[beat] * SOME)
                client.skip = {beat}
                session.send(whole if not frame.offset else b"xy\0\1z")
                client.expect(whole if not frame.offset else b"xy\0\1z")
                daemon.stop()

    def test_it_is_in_no_book_no_count_and_no_tap(self):
        _, daemon, session, client = self.idle()
        with harness.Varlink(daemon.control_path) as tap:
            tap.send({"method": "io.ftcpd.Tap", "more": True, "parameters": {}})
            daemon.status()
            before = daemon.status()
            client.expect(*[b""] * SOME)
            status = check_books(daemon.status())
            for member in ("toClients", "toUpstream", "refused"):
                self.assertEqual(status[member], before[member])
            listed = daemon.call("ListClients")["clients"][0]
            self.assertEqual([listed["sent"], listed["queued"]],
                             [{"messages": 0, "bytes": 0}] * 2)
            client.skip = {b""}
            session.send(b"seen")
            client.expect(b"seen")
            self.assertEqual(tap.recv()["parameters"]["message"], "c2Vlbg==")

    def test_none_is_sent_unless_it_is_asked_for(self):
        _, daemon, session = self.linked("[Heartbeat]\nTimeout=0\n", heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        with self.assertRaises(TimeoutError):
            client.recv(MOMENT)
        daemon.reconfigure("[Heartbeat]\nMessage=PING\nReceived=PONG\n" + QUICK)
        client.expect(*[b"PONG"] * SOME)
        daemon.reconfigure("[Heartbeat]\nReceived=\n")
        client.skip = {b"PONG"}
        client.expect(*[b"PING"] * SOME)
        daemon.reconfigure("[Local]\nHeartbeatInterval=0\n")
        time.sleep(0.2)
        unread(client)
        client.skip = ()
        with self.assertRaises(TimeoutError):
            client.recv(MOMENT)

    def test_a_client_that_gets_messages_gets_no_heartbeat(self):
        _, daemon, session = self.linked("[Local]\nHeartbeatInterval=60s\n")
        client = daemon.client()
        daemon.wait_clients(1)
        for _ in range(5):
            session.send(b"data")
        client.expect(*[b"data"] * 5)
        with self.assertRaises(TimeoutError):
            client.recv(MOMENT)

    def test_it_never_stands_within_a_message(self):
        for config in ("", "[Delivery]\nSlowClient=drop\n", "[Delivery]\nToClients=balance\n"):
            with self.subTest(config=config):
                _, daemon, session, client = self.idle(config)
                client.expect(b"")
                message = os.urandom(LARGE)
                session.send(message, b"next")
                daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"], "it to wait")
                time.sleep(0.5)  # it waits for longer than the interval
                client.skip = {b""}
                client.expect(message, b"next")
                client.skip = ()
                client.expect(*[b""] * SOME)
                daemon.stop()

    def test_a_client_that_does_not_read_gets_one_and_is_not_slow(self):
        _, daemon, session, client, other = self.idle(
            "[Delivery]\nClientStallTimeout=300ms\nSlowClientGrace=0\n", clients=2)
        other.expect(*[b""] * 8)
        self.assertEqual(unread(client), [b""])
        self.assertEqual(daemon.status()["clients"], 2)
        client.expect(b"")

    def test_each_client_has_its_own_where_messages_are_dealt(self):
        _, daemon, session, *clients = self.idle("[Delivery]\nToClients=balance\n", clients=3)
        for client in clients:
            client.expect(*[b""] * SOME)

    def test_it_goes_on_while_the_link_is_down_or_held(self):
        upstream, daemon, session, client = self.idle("[Upstream]\nReconnectDelay=1min\n")
        client.expect(b"")
        upstream.refuse()
        session.close()
        daemon.wait_state("waiting")
        unread(client)
        client.expect(*[b""] * SOME)
        daemon.call("Hold")
        daemon.wait_state("held")
        client.expect(*[b""] * SOME)

    def test_a_client_that_sends_no_more_still_gets_it(self):
        _, daemon, session, client = self.idle()
        client.send(b"last")
        client.shut_write()
        session.expect(b"last")
        client.expect(*[b""] * SOME)

    def test_who_only_sends_loses_nothing_by_it(self):
        _, daemon, session, reader, deaf = self.idle(clients=2)
        mute = daemon.client()
        daemon.wait_clients(3)
        deaf.shut_read()
        reader.expect(*[b""] * SOME)
        for number in range(50):  # one heartbeat is unread when it closes
            deaf.send(b"deaf %d" % number)
            mute.send(b"mute %d" % number)
        mute.close()
        got = [session.recv() for _ in range(100)]
        self.assertEqual([m for m in got if m[:4] == b"mute"], [b"mute %d" % n for n in range(50)])
        self.assertEqual([m for m in got if m[:4] == b"deaf"], [b"deaf %d" % n for n in range(50)])
        daemon.wait_clients(2)

    def test_recv_shows_and_counts_none(self):
        _, daemon, session, reader = self.idle("[Heartbeat]\nReceived=PONG\n", heartbeat=None)
        receiver = self.spawn([harness.program("ftcpctl"), "--socket", daemon.control_path, "recv",
                               "-n", "2", "--timeout=30s"], stdout=-1)
        daemon.wait_clients(2)
        reader.skip = {b"PONG"}
        until(lambda: unread(reader) or reader.skipped >= SOME, "some heartbeats")
        session.send(b"one", b"two")
        self.assertEqual(receiver.communicate(timeout=harness.DEADLINE)[0], b"one\ntwo\n")


class Restarted(ManagedTest):
    LARGE = "x" * 300
    DIES = {"ASAN_OPTIONS": "verify_asan_link_order=0"}

    def dies_after(self, daemon, instant):
        daemon.more_env = {"LD_PRELOAD": self.preload("dies.c"), "FTCPD_DIES": instant, **self.DIES}
        daemon.crash()

    def revive(self, daemon):
        self.assertEqual(daemon.wait_exit(), -9)
        daemon.more_env = {}
        daemon.start()

    def test_a_crash_right_behind_it_costs_nobody_anything(self):
        _, daemon, session = self.linked(QUICK + "[Heartbeat]\nMessage=beat\nTimeout=0\n",
                                         heartbeat=None)
        client = daemon.client(skip={b"beat"})
        got = client.collect()
        for _ in range(harness.often(3, 30)):
            self.dies_after(daemon, "send:2:8")
            self.revive(daemon)
        session.send(b"whole")
        got.wait_count(1)
        self.assertEqual((got.messages, got.ended), ([b"whole"], None))
        check_books(daemon.status())

    def test_the_first_behind_a_start_comes_at_once(self):
        _, daemon, session = self.linked("[Local]\nHeartbeatInterval=1h\n")
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.crash()
        client.expect(b"")
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        client.expect(b"")

    def by_tcp(self, config):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.daemon_class = type("Door", (ByTcp,), {"more_sockets": [("data", listener)]})
        _, daemon, session = self.linked(config)
        return daemon, session, daemon.connect()

    def test_a_tcp_client_gets_it_too_and_a_crash_right_behind_it_leaves_no_half(self):
        daemon, session, client = self.by_tcp(
            QUICK + f"[Heartbeat]\nInterval=0\nReceived={self.LARGE}\nReceived=\"\"\n")
        beat = self.LARGE.encode()
        client.expect(*[beat] * SOME)
        self.dies_after(daemon, "write:2:300")
        self.revive(daemon)
        client.skip = {beat}
        self.assertIn(client.expect_end(), ("closed", "reset"))
        self.assertRegex(daemon.log, "is disconnected: ftcpd ended while it sent to it")
        again = daemon.connect()
        again.expect(*[beat] * SOME)
        check_books(daemon.status())


if __name__ == "__main__":
    harness.main()

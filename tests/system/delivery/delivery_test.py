# SPDX-License-Identifier: MIT
"""What becomes of messages that were not acknowledged in time, and of clients without a link."""
import random
import socket
import subprocess
import threading
import time

import harness
from framed import Collector
from local import (
    NOBODY_CHOSE, BooksWatch, check_books, check_rests, dropped, fill, reasons, stays)
from losses import QUICK, cut, deafen
from spreading import numbers_of

DOWN = "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=100ms\n"


def some_of(session, count, patience=2):
    """So many messages, or those that come before nothing has come for a while."""
    messages = []
    try:
        while len(messages) < count:
            message = session.recv(patience)
            if message is None:
                break
            messages.append(message)
    except (TimeoutError, ConnectionResetError):
        pass
    return messages


def settled(daemon, count):
    """The status when so many messages are accepted and none of them waits."""
    return check_books(
        daemon.wait_status(
            lambda s: s["toUpstream"]["accepted"]["messages"] == count
            and s["toUpstream"]["queued"]["messages"] == 0,
            f"{count} messages to be settled",
        )
    )


class Cuts(harness.SystemTest):
    def start(self, config, count=3000, pace=0):
        """A client sends numbered messages, as fast as it can to an upstream with small buffers.

        With a pace, in seconds for ten of them, nobody waits: messages are always on their way.
        """
        seed = harness.seed()
        print(f"seed {seed}")
        rng = random.Random(seed)
        upstream = self.upstream(heartbeat=None)
        if not pace:
            upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        daemon = self.daemon(
            f"{QUICK}Address={upstream.address}\n[Heartbeat]\nTimeout=0\n{config}"
        )
        choice = (0, 10, 1000) if pace else (0, 10, 1000, 5000, 60000)
        sizes = [rng.choice(choice) for _ in range(count)]
        messages = [harness.stamp(1, i, bytes(size)) for i, size in enumerate(sizes)]
        client = daemon.client()
        threading.Thread(target=self.feed, args=(client, messages, pace), daemon=True).start()
        return rng, upstream, daemon

    @staticmethod
    def feed(client, messages, pace=0):
        try:
            for i in range(0, len(messages), 10):
                client.send(*messages[i : i + 10])
                time.sleep(pace)
        except OSError:
            pass

    @staticmethod
    def break_off(rng, session):
        """Ends a connection in one of many ways; returns what was read of it at last."""
        kind = rng.randrange(5)
        if kind == 0:
            return cut(session)
        if kind == 1:  # with bytes unread: a reset, too
            session.close()
        elif kind == 2:
            session.reset()
        elif kind == 3:  # a window that closes, and then the end
            time.sleep(0.05)
            session.reset()
        else:  # half-closed, and read on until the other side has ended as well
            session.shut_write()
            last = Collector(session)
            last.wait_end()
            session.close()
            return last.messages
        return []

    def cut_often(self, rng, upstream, count, cuts, breaks):
        """Reads a few messages on each connection; returns all numbers in the order of arrival."""
        seen = []
        for _ in range(cuts):
            session = upstream.accept()
            messages = some_of(session, rng.randrange(60))
            seen += numbers_of(messages + breaks(rng, session))
            if seen and seen[-1] == count - 1:
                break
        return seen

    def last_of(self, upstream, daemon, count):
        """What the last connection brings, until nothing waits any more, and the status then."""
        last = Collector(upstream.accept())
        status = settled(daemon, count)
        daemon.client().send(b"all was before this")
        last.wait(lambda m: m and m[-1] == b"all was before this", "the very last message")
        return numbers_of(last.messages[:-1]), status

    def test_with_unsent_no_message_ever_comes_twice(self):
        rng, upstream, daemon = self.start("[Delivery]\nResend=unsent\nUpstreamQueueSize=16M\n")
        with BooksWatch(daemon):
            seen = self.cut_often(rng, upstream, 3000, 40, self.break_off)
            rest, status = self.last_of(upstream, daemon, 3000)
        seen += rest
        self.assertEqual(seen, sorted(set(seen)), "doubled, or not in order")
        self.assertGreater(dropped(status, "toUpstream", "not_resent"), 0)
        self.assertEqual(len(status["toUpstream"]["dropped"]), 1)
        self.assertGreaterEqual(status["upstream"]["disconnects"], 10)

    def test_what_is_told_from_the_books_stays_so_though_the_peer_still_reads(self):
        """The verdict is ours, the connection lives on: nothing may be sent behind the reading."""
        slow = self.preload("slow_books.c")
        upstream = self.upstream(heartbeat=None)
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        daemon = self.daemon(
            f"{DOWN}Address={upstream.address}\n[Heartbeat]\nTimeout=400ms\n"
            "[Delivery]\nResend=unsent\n",
            env={"LD_PRELOAD": slow, "ASAN_OPTIONS": "verify_asan_link_order=0"},
        )
        session = upstream.accept()
        session.send(b"")
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(500)) for i in range(4000)]
        sender = threading.Thread(target=client.send, args=messages)
        sender.start()
        first = []
        try:
            while (message := session.recv()) is not None:
                first.append(message)
                time.sleep(0.0002)  # it reads slower than ftcpd sends, but all the time
        except ConnectionResetError:
            pass
        self.assertGreater(len(first), 0)
        self.assertLess(len(first), 4000)
        self.assertEqual(daemon.status()["upstream"]["lastCause"], "silent")
        daemon.reconfigure("[Heartbeat]\nTimeout=0\n")
        later = []
        while len(later) < 5 and daemon.status()["toUpstream"]["queued"]["messages"]:
            later.append(upstream.accept().collect())  # more than one if we were slow
            harness.until(lambda: later[-1].ended
                          or not daemon.status()["toUpstream"]["queued"]["messages"],
                          "the rest to go")
        sender.join(harness.DEADLINE)
        settled(daemon, 4000)
        again = [number for got in later for number in numbers_of(got.messages)]
        self.assertEqual(sorted(set(numbers_of(first)) & set(again)), [])

    def test_with_unsent_each_message_is_there_once_or_in_the_books(self):
        """Each cut reads what the peer's kernel acknowledged, and nothing else."""
        rng, upstream, daemon = self.start("[Delivery]\nResend=unsent\n", 6000, 0.004)
        seen = self.cut_often(rng, upstream, 6000, 10, lambda _, session: cut(session))
        rest, status = self.last_of(upstream, daemon, 6000)
        seen += rest
        self.assertEqual(seen, sorted(set(seen)), "doubled, or not in order")
        lost = dropped(status, "toUpstream", "not_resent")
        self.assertEqual(len(seen) + lost, 6000)
        self.assertGreater(lost, 0)

    def test_with_unacked_no_message_is_lost(self):
        rng, upstream, daemon = self.start("[Delivery]\nResend=unacked\n", 1500)
        with BooksWatch(daemon):
            seen = self.cut_often(rng, upstream, 1500, 10, lambda _, session: cut(session))
            rest, status = self.last_of(upstream, daemon, 1500)
        seen += rest
        self.assertEqual(sorted(set(seen)), list(range(1500)))
        self.assertEqual(status["toUpstream"]["dropped"], [])
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], 1500)

    def test_with_none_what_was_begun_is_dropped_and_the_rest_is_kept(self):
        rng, upstream, daemon = self.start("[Delivery]\nResend=none\n", 1500)
        seen = self.cut_often(rng, upstream, 1500, 10, lambda _, session: cut(session))
        rest, status = self.last_of(upstream, daemon, 1500)
        seen += rest
        self.assertEqual(seen, sorted(set(seen)), "doubled, or not in order")
        self.assertEqual(
            len(seen) + dropped(status, "toUpstream", "not_resent"), 1500, "the books disagree"
        )

    def test_what_was_not_begun_stays_under_every_policy(self):
        for policy in ("unacked", "unsent", "none"):
            with self.subTest(policy):
                upstream = self.upstream()
                upstream.refuse()
                daemon = self.daemon(
                    f"{QUICK}Address={upstream.address}\n[Delivery]\nResend={policy}\n"
                )
                daemon.client().send(*[harness.stamp(1, i) for i in range(100)])
                daemon.wait_status(
                    lambda s: s["toUpstream"]["queued"]["messages"] == 100, "100 queued"
                )
                upstream.listen()
                self.assertEqual(numbers_of(upstream.accept().recv_n(100)), list(range(100)))

    def test_what_does_not_go_again_is_a_warning_and_is_told(self):
        for policy in ("unsent", "none"):
            with self.subTest(policy):
                upstream, daemon, session = self.linked(
                    f"{QUICK}[Delivery]\nResend={policy}\n", heartbeat=0.1
                )
                self.assertEqual(reasons(daemon), [])
                deafen(session.sock)  # so that what is transmitted is not acknowledged
                daemon.client().send(*[b"in doubt"] * 20)
                daemon.wait_status(lambda s: s["upstream"]["sent"]["messages"] == 20, "them to go")
                session.reset()
                upstream.accept().collect()
                daemon.wait_state("up")
                status = check_books(daemon.status())
                lost = dropped(status, "toUpstream", "not_resent")
                self.assertEqual(lost, 20)
                self.assertIn(NOBODY_CHOSE, reasons(daemon))
                daemon.wait_log(f"to the upstream: {lost} messages? (was|were) dropped .not_resent")


class WhenDown(harness.SystemTest):
    def test_what_comes_while_the_link_is_down_is_discarded_and_never_arrives(self):
        upstream = self.upstream(heartbeat=0.1)
        upstream.refuse()
        daemon = self.daemon(
            f"{QUICK}Address={upstream.address}\n[Delivery]\nWhenDown=discard\n"
            "[Health]\nCriticalAfter=1min\n"
        )
        client = daemon.client()
        for i in range(200):
            client.send(harness.stamp(1, i, bytes(i * 10)))
        frame = client.frame.wrap(b"begun while down, whole while up")
        client.send_raw(frame[:9])
        status = daemon.wait_status(
            lambda s: dropped(s, "toUpstream", "link_down") == 200, "200 to be discarded"
        )
        check_books(status)
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], 200)
        self.assertEqual(status["toUpstream"]["queued"]["messages"], 0)
        self.assertEqual(daemon.call("ListClients")["clients"][0]["received"]["messages"], 200)
        daemon.wait_log("to the upstream: [0-9]+ messages? (was|were) dropped .link_down")
        self.assertNotIn(NOBODY_CHOSE, reasons(daemon))
        upstream.listen()
        session = upstream.accept()
        daemon.wait_state("up")
        client.send_raw(frame[9:])
        client.send(b"after")
        session.expect(b"begun while down, whole while up", b"after")
        self.assertEqual(reasons(daemon), [])

    def test_what_was_queued_before_the_loss_is_kept_though_the_rest_is_discarded(self):
        upstream, daemon, session = self.linked(
            f"{QUICK}[Frame]\nMaxMessageSize=1M\n"
            "[Delivery]\nWhenDown=discard\nUpstreamQueueSize=1M\n"
        )
        client = daemon.client()
        message = bytes(10000)
        sent, rest = fill(
            client,
            message,
            full=lambda: daemon.status()["toUpstream"]["queued"]["bytes"] >= 1 << 20,
        )
        upstream.refuse()
        session.reset()
        client.send_raw(rest)
        for _ in range(100):  # the queue is full, and yet nobody blocks
            client.send(message)
        total = sent + bool(rest) + 100
        status = daemon.wait_status(
            lambda s: s["toUpstream"]["accepted"]["messages"] == total
            and s["upstream"]["state"] != "up",
            "all to be taken",
        )
        kept = check_books(status)["toUpstream"]["queued"]["messages"]
        upstream.listen()
        arrived = upstream.accept().collect()
        arrived.wait_count(kept)
        client.send(b"after")
        arrived.wait(lambda m: m[-1] == b"after", "what comes after")
        self.assertEqual(len(arrived.messages), kept + 1)

    def test_who_is_refused_while_the_link_is_down_is_told_why(self):
        upstream, daemon, session = self.linked("[Delivery]\nWhenDown=refuse\n")
        upstream.refuse()
        session.reset()
        daemon.wait_state("waiting")
        for verb in (("send", "x"), ("recv",)):
            done = subprocess.run(
                [harness.program("ftcpctl"), "--socket", daemon.control_path, *verb],
                capture_output=True, text=True, timeout=harness.DEADLINE, check=False)
            self.assertEqual(done.returncode, 1, done)
            self.assertRegex(done.stderr, "ftcpd closed the connection .*: the link is not up but "
                                          ".*, and WhenDown=refuse takes no client until it is")

    def test_clients_are_refused_while_the_link_is_down(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n[Delivery]\nWhenDown=refuse\n")
        daemon.client().expect_end()
        daemon.wait_log("a client was refused: the link is down .WhenDown=refuse")
        upstream.listen()
        session = upstream.accept()
        daemon.wait_state("up")
        clients = [daemon.client() for _ in range(3)]
        daemon.wait_clients(3)
        clients[0].send(b"up")
        session.expect(b"up")
        upstream.refuse()
        messages = [harness.stamp(1, i, bytes(2000)) for i in range(1000)]
        session.send(*messages)
        session.close()
        for client in clients:
            client.expect(*messages)
            client.expect_end()
        daemon.wait_log("is disconnected: the link is down .WhenDown=refuse")
        daemon.client().expect_end()
        status = daemon.wait_status(lambda s: s["clientsRefused"] == 2, "two to be refused")
        self.assertEqual(status["clients"], 0)
        check_books(status)

    def test_a_reload_that_refuses_ends_clients_while_the_link_is_down(self):
        upstream = self.upstream()
        upstream.refuse()
        config = f"{QUICK}Address={upstream.address}\n[Delivery]\n"
        daemon = self.daemon(config)
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.configure(config + "WhenDown=refuse\n")
        daemon.call("Reload")
        client.expect_end()


class OnLinkLoss(harness.SystemTest):
    def test_clients_get_what_was_received_and_then_the_end(self):
        upstream, daemon, session = self.linked(f"{QUICK}[Delivery]\nOnLinkLoss=disconnect\n")
        quick, slow = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        messages = [harness.stamp(1, i, bytes(5000)) for i in range(1000)]
        session.send(*messages)
        session.close()
        quick.expect(*messages)
        quick.expect_end()
        # The next connection is not for who was dismissed, however slow.
        session = upstream.accept()
        daemon.wait_state("up")
        session.send(*[b"new"] * 100)
        daemon.wait_status(lambda s: s["upstream"]["received"]["messages"] == 1100, "the new ones")
        slow.expect(*messages)
        slow.expect_end()
        daemon.wait_clients(0)
        status = check_books(daemon.status())
        self.assertEqual(status["toClients"]["delivered"]["messages"], 2000)
        self.assertEqual(dropped(status, "toClients", "no_client"), 100)
        daemon.wait_log("is disconnected: the link was lost .OnLinkLoss=disconnect")

    def test_new_clients_are_taken_while_the_link_is_down(self):
        upstream, daemon, session = self.linked(f"{QUICK}[Delivery]\nOnLinkLoss=disconnect\n")
        upstream.refuse()
        session.reset()
        daemon.wait_state(("waiting", "connecting"))
        client = daemon.client()
        client.send(b"queued")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "one queued")
        upstream.listen()
        session = upstream.accept()
        session.expect(b"queued")
        session.send(b"answer")
        client.expect(b"answer")

    def test_who_only_sends_is_disconnected_too(self):
        upstream, daemon, session = self.linked(f"{QUICK}[Delivery]\nOnLinkLoss=disconnect\n")
        sender = daemon.client()
        sender.shut_read()
        sender.send(b"x")
        session.expect(b"x")
        daemon.wait_clients(1)
        session.close()
        daemon.wait_clients(0)


class MessageTtl(harness.SystemTest):
    @harness.in_time
    def test_while_the_link_is_down_old_messages_go_and_newer_ones_arrive(self):
        upstream = self.upstream(heartbeat=0.1)
        upstream.refuse()
        daemon = self.daemon(
            f"{DOWN}Address={upstream.address}\n[Delivery]\nMessageTTL=1s\n"
        )
        client = daemon.client()
        sent_from = time.monotonic()
        client.send(*[harness.stamp(1, i) for i in range(10)])
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 10, "the first")
        sent_to = time.monotonic()
        time.sleep(0.6)
        client.send(*[harness.stamp(1, i) for i in range(10, 20)])
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 20, "the others")
        with BooksWatch(daemon):
            harness.until(
                lambda: dropped(daemon.status(), "toUpstream", "expired"), "some to expire",
                interval=0.002,
            )
        now = time.monotonic()
        self.assertGreater(now - sent_from, 0.999)
        self.assertLess(now - sent_to, 1.1 + 0.1 * harness.SLOW)
        upstream.listen()
        session = upstream.accept()
        self.assertEqual(numbers_of(session.recv_n(10)), list(range(10, 20)))
        status = settled(daemon, 20)
        self.assertEqual(dropped(status, "toUpstream", "expired"), 10)
        daemon.wait_log("to the upstream: 10 messages were dropped .expired")
        daemon.wait_state("up")
        self.assertEqual(reasons(daemon), [])

    @harness.in_time
    def test_on_a_blocked_link_what_is_begun_is_finished_and_the_rest_expires(self):
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        daemon = self.daemon(
            f"{QUICK}Address={upstream.address}\n[Delivery]\nMessageTTL=300ms\n"
        )
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        big = harness.stamp(1, 0, bytes(12 << 20))
        client.send(big)
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "the big one")
        client.send(*[harness.stamp(1, i) for i in range(1, 6)])
        with BooksWatch(daemon):
            status = daemon.wait_status(
                lambda s: dropped(s, "toUpstream", "expired") == 5, "five to expire"
            )
            self.assertEqual(status["toUpstream"]["queued"]["messages"], 1)
            self.assertEqual(status["upstream"]["sent"]["messages"], 0)
            session.expect(big)
            client.send(b"new")
            session.expect(b"new")
        status = settled(daemon, 7)
        self.assertEqual(status["upstream"]["sent"]["messages"], 2)
        self.assertEqual(status["upstream"]["disconnects"], 0)
        check_rests(daemon)

    @harness.in_time
    def test_a_repeat_that_has_become_too_old_is_dropped(self):
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        daemon = self.daemon(
            f"{QUICK}Address={upstream.address}\n[Delivery]\nMessageTTL=500ms\n"
        )
        session = upstream.accept()
        client = daemon.client()
        client.send(harness.stamp(1, 0, bytes(12 << 20)))
        daemon.wait_status(lambda s: s["upstream"]["state"] == "up"
                           and s["toUpstream"]["queued"]["messages"] == 1, "it to be begun")
        upstream.refuse()
        time.sleep(0.2)
        session.reset()
        status = daemon.wait_status(
            lambda s: dropped(s, "toUpstream", "expired") == 1, "it to expire"
        )
        self.assertEqual(check_books(status)["toUpstream"]["queued"]["messages"], 0)
        upstream.listen()
        session = upstream.accept()
        client.send(b"new")
        session.expect(b"new")

    def test_under_load_with_a_short_life_the_books_balance_and_no_message_is_torn(self):
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        daemon = self.daemon(
            f"{QUICK}Address={upstream.address}\n[Delivery]\nMessageTTL=20ms\n"
            "UpstreamQueueSize=16M\n"
        )
        session = upstream.accept()
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(i % 9000)) for i in range(6000)]
        with BooksWatch(daemon):
            threading.Thread(target=Cuts.feed, args=(client, messages, 0.002), daemon=True).start()
            seen = []
            for _ in range(50):
                seen += numbers_of(some_of(session, 10))
                time.sleep(0.01)
            last = session.collect()
            status = settled(daemon, 6000)
        last.wait_count(status["toUpstream"]["delivered"]["messages"] - len(seen))
        time.sleep(0.1)
        seen += numbers_of(last.messages)
        self.assertEqual(seen, sorted(set(seen)))
        books = status["toUpstream"]
        self.assertEqual(books["delivered"]["messages"], len(seen))
        self.assertEqual(books["delivered"]["messages"], status["upstream"]["sent"]["messages"])
        self.assertEqual(dropped(status, "toUpstream", "expired"), 6000 - len(seen))

    def test_without_a_life_span_nothing_expires(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n")
        daemon.client().send(b"x")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to wait")
        stays(lambda: daemon.status()["toUpstream"]["queued"]["messages"] == 1)


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""Who is slow: a client that takes nothing, an upstream that takes nothing, a link that is down."""
import fcntl
import signal
import socket
import struct
import termios
import threading
import time

import harness
from harness import SLOW, stamp, unstamp, until
from local import BooksWatch, check_books, check_rests, dropped, fill, queue_of, stays, wait_listed

KIB = b"k" * 1024
PATIENT = f"[Service]\nStopTimeout={120 * SLOW:.0f}s\n"  # nobody waits for so long


def took(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


class Disconnect(harness.SystemTest):
    """SlowClient=disconnect and its grace."""

    def linked_with(self, delivery, clients=2):
        _, daemon, session = self.linked(f"[Delivery]\n{delivery}\n")
        made = [daemon.client() for _ in range(clients)]
        daemon.wait_clients(clients)
        return daemon, session, made

    @harness.in_time
    def test_a_client_that_hangs_costs_the_others_the_grace_and_no_more(self):
        daemon, session, (hangs, reads) = self.linked_with(
            "ClientQueueSize=64K\nSlowClientGrace=700ms")
        got = reads.collect()
        messages = [stamp(0, n, KIB) for n in range(2000)]

        def flow():
            session.send(*messages)
            got.wait_count(2000)

        with BooksWatch(daemon):
            seconds = took(flow)
        self.assertGreater(seconds, 0.6)
        self.assertLess(seconds, 2 * SLOW)
        self.assertEqual([unstamp(m)[1] for m in got.messages], list(range(2000)))
        daemon.wait_log(r"client 1 .* is disconnected: too slow: \d+ bytes .*ClientQueueSize=65536"
                        r".*SlowClientGrace=")
        status = check_books(daemon.wait_status(lambda s: s["clients"] == 1, "it to be gone"))
        self.assertGreater(dropped(status, "toClients", "queue_full"), 60)
        self.assertEqual(status["health"], "warning")
        self.assertFalse(status["upstream"]["paused"])
        taken = 0
        while hangs.recv() is not None:
            taken += 1
        books = daemon.status()["toClients"]
        self.assertEqual(books["delivered"]["messages"], 2000 + taken)

    def test_a_client_merely_slower_than_a_burst_is_waited_for(self):
        daemon, session, (slow, fast) = self.linked_with(
            "ClientQueueSize=64K\nSlowClientGrace=1min")
        got, messages = fast.collect(), [stamp(0, n, KIB) for n in range(3000)]
        sender = threading.Thread(target=session.send, args=messages, daemon=True)
        sender.start()
        daemon.wait_status(lambda s: s["upstream"]["paused"], "ftcpd to pause reading")
        for n in range(3000):
            self.assertEqual(unstamp(slow.recv())[1], n)
            if n % 150 == 0:
                time.sleep(0.02)  # slow, but reading
        got.wait_count(3000)
        sender.join()
        status = check_books(daemon.status())
        self.assertEqual(status["clients"], 2)
        self.assertFalse(status["upstream"]["paused"])
        self.assertEqual(dropped(status, "toClients", "queue_full"), 0)

    @harness.in_time
    def test_credit_that_was_used_up_comes_back_only_slowly(self):
        daemon, session, (slow, reads) = self.linked_with(
            "ClientQueueSize=16K\nSlowClientGrace=600ms")
        reads.collect()

        def over():
            return daemon.status()["upstream"]["paused"]

        # Twice over its limit for 400 ms: together more than its credit.
        for turn in (1, 2):
            sender = threading.Thread(target=session.send, args=[KIB] * 600, daemon=True)
            sender.start()
            until(over, "the pause")
            if turn == 1:
                time.sleep(0.4)
                slow.recv_n(600)
                sender.join()
        begin = time.monotonic()
        daemon.wait_clients(1)
        self.assertLess(time.monotonic() - begin, 0.4 * SLOW)

    def frozen_in_a_pause(self):
        daemon, session, (slow, reads) = self.linked_with(
            "ClientQueueSize=4K\nSlowClientGrace=2s")
        reads.collect()
        sender = threading.Thread(target=session.send, args=[KIB] * 2000, daemon=True)
        sender.start()
        daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        daemon.freeze()
        return daemon, slow

    @harness.in_time
    def test_a_stall_of_ftcpd_itself_is_not_charged(self):
        daemon, slow = self.frozen_in_a_pause()
        slow.recv_n(150)
        time.sleep(3)
        daemon.thaw()
        slow.recv_n(1850)
        self.assertEqual(daemon.status()["clients"], 2)

    @harness.in_time
    def test_nor_is_it_charged_to_who_took_everything_meanwhile(self):
        daemon, slow = self.frozen_in_a_pause()
        there = fcntl.ioctl(slow.sock, termios.FIONREAD, bytes(4))
        took = struct.unpack("i", there)[0] // (len(KIB) + 4)
        slow.recv_n(took)
        time.sleep(3)
        daemon.thaw()  # its socket is ready at once, and comes before its deadline
        slow.recv_n(500)
        time.sleep(0.5)  # it has most of its grace still
        slow.recv_n(1500 - took)
        self.assertEqual(daemon.status()["clients"], 2)

    def test_a_queue_that_is_empty_takes_any_one_message(self):
        daemon, session, (slow, reads) = self.linked_with(
            "ClientQueueSize=4K\nSlowClientGrace=300ms")
        got = reads.collect()
        big = b"b" * 5_000_000
        session.send(big)
        got.wait_count(1)
        stays(lambda: daemon.status()["clients"] == 2, 0.6)
        self.assertFalse(daemon.status()["upstream"]["paused"])
        self.assertEqual(queue_of(daemon), {"messages": 1, "bytes": 5_000_004})
        slow.expect(big)

    @harness.in_time
    def test_a_client_that_took_no_byte_for_long_is_disconnected_whatever_its_queue(self):
        daemon, session, (hangs, reads) = self.linked_with("ClientStallTimeout=500ms")
        got = reads.collect()
        session.send(*[KIB] * 600)
        got.wait_count(600)
        self.assertEqual(daemon.status()["clients"], 2)
        status = daemon.wait_status(lambda s: s["clients"] == 1, "it to be gone")
        daemon.wait_log("client 1 .* is disconnected: .*ClientStallTimeout=")
        self.assertGreater(dropped(check_books(status), "toClients", "queue_full"), 100)
        hangs.close()

    @harness.in_time
    def test_who_takes_a_little_now_and_then_is_not_stalled(self):
        daemon, session, (slow, reads) = self.linked_with("ClientStallTimeout=600ms")
        reads.collect()
        session.send(*[KIB] * 1500)
        end = time.monotonic() + 1.8
        while time.monotonic() < end:  # too little for the kernel to call its socket writable
            slow.buffer += slow.sock.recv(12_000)
            time.sleep(0.1)
        slow.recv_n(1500)
        self.assertEqual(daemon.status()["clients"], 2)

    def test_who_stopped_reading_and_only_sends_is_not_cut_off(self):
        daemon, session, (sends, reads) = self.linked_with(
            "ClientQueueSize=16K\nSlowClientGrace=20s\nClientStallTimeout=20s")
        got = reads.collect()
        sender = threading.Thread(target=session.send, args=[KIB] * 1000, daemon=True)
        sender.start()
        daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        sends.shut_read()
        got.wait_count(1000)
        sends.send(b"still sending")
        session.expect(b"still sending")
        status = check_books(daemon.status())
        self.assertEqual(status["clients"], 2)
        self.assertGreater(dropped(status, "toClients", "client_gone"), 0)
        listed = wait_listed(daemon, lambda c: c["sendOnly"], "it")
        self.assertEqual(listed["dropped"]["messages"], dropped(status, "toClients", "client_gone"))


class Wait(harness.SystemTest):
    """SlowClient=wait."""

    CONFIG = "[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n"

    @harness.in_time
    def test_nothing_is_lost_and_the_upstream_feels_it_and_its_silence_is_not_judged(self):
        _, daemon, session = self.linked(
            "[Heartbeat]\nTimeout=1s\nInterval=100ms\n" + self.CONFIG, heartbeat=0.1)
        slow, fast = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        got, messages = fast.collect(), [stamp(0, n, KIB) for n in range(20_000)]
        sender = threading.Thread(target=session.send, args=messages, daemon=True)
        with BooksWatch(daemon):
            sender.start()
            daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
            check_rests(daemon, 1.5)  # longer than any patience with a silent peer
            self.assertTrue(sender.is_alive())
            status = daemon.status()
            self.assertTrue(status["upstream"]["paused"])
            self.assertEqual((status["upstream"]["state"], status["clients"]), ("up", 2))
            self.assertLess(status["toClients"]["fullestBytes"], 64 * 1024 + 600 * 1024)
            for n in range(20_000):
                self.assertEqual(unstamp(slow.recv())[1], n)
            got.wait_count(20_000)
        sender.join()
        status = check_books(daemon.wait_status(lambda s: not s["upstream"]["paused"], "no pause"))
        self.assertEqual(status["upstream"]["disconnects"], 0)
        self.assertEqual(status["toClients"]["delivered"]["messages"], 40_000)

    @harness.in_time
    def test_who_hangs_for_ever_meets_the_stall_timeout(self):
        _, daemon, session = self.linked(self.CONFIG + "ClientStallTimeout=500ms\n", heartbeat=0.1)
        hangs, reads = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        got = reads.collect()
        session.send(*[KIB] * 5000)
        got.wait_count(5000)
        daemon.wait_log("client 1 .* is disconnected: .*ClientStallTimeout=")
        check_books(daemon.status())
        hangs.close()

    def test_who_leaves_while_all_wait_for_it_frees_them(self):
        _, daemon, session = self.linked(self.CONFIG, heartbeat=0.1)
        hangs, reads = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        got = reads.collect()
        sender = threading.Thread(target=session.send, args=[KIB] * 8000, daemon=True)
        sender.start()
        daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        hangs.close()
        got.wait_count(8000)
        status = check_books(daemon.status())
        self.assertGreater(dropped(status, "toClients", "client_gone"), 0)


class SlowUpstream(harness.SystemTest):
    """UpstreamQueueSize=, and a link that is down."""

    CONFIG = ("[Frame]\nMaxMessageSize=64K\n[Delivery]\nUpstreamQueueSize=256K\n"
              "[Heartbeat]\nInterval=0\nTimeout=0\n")

    @staticmethod
    def fill(daemon, client):
        """Until the queue to the upstream is full, and then what lies before it."""
        return fill(client, b"F" * 4000,
                    full=lambda: queue_of(daemon, "toUpstream")["bytes"] >= 256 * 1024)

    def full(self, config=""):
        """An upstream that does not read, and a client that has filled all that lies before it."""
        _, daemon, session = self.linked(self.CONFIG + config, heartbeat=None)
        client = daemon.client()
        sent, rest = self.fill(daemon, client)
        return daemon, session, client, sent, rest

    def test_a_full_queue_blocks_clients_and_nothing_is_lost(self):
        daemon, session, client, sent, rest = self.full()
        books = daemon.status()["toUpstream"]
        self.assertEqual(books["limitBytes"], 256 * 1024)
        self.assertLess(books["queued"]["bytes"], 256 * 1024 + 300 * 1024)
        check_rests(daemon)
        got = session.collect()
        if rest:
            client.send_raw(rest)
        client.send(b"last")
        got.wait_count(sent + bool(rest) + 1)
        self.assertEqual(got.messages[-1], b"last")
        self.assertEqual(set(got.messages[:-1]), {b"F" * 4000})
        status = daemon.wait_status(lambda s: not s["toUpstream"]["queued"]["bytes"], "no queue")
        self.assertEqual(check_books(status)["toUpstream"]["delivered"]["messages"],
                         sent + bool(rest) + 1)

    def test_a_message_in_the_middle_is_not_timed_out_while_its_client_must_wait(self):
        _, daemon, session = self.linked(self.CONFIG, heartbeat=None)
        client, other = daemon.client(), daemon.client()
        other.send_raw(b"\0\0\0\x10beg")
        wait_listed(daemon, lambda c: c.get("partial"), "the part")
        sent, rest = self.fill(daemon, client)
        other.send_raw(b"un")  # is not read now
        daemon.reconfigure("[Frame]\nTimeout=500ms\n")
        stays(lambda: daemon.status()["clients"] == 2, 1)
        session.collect()
        other.expect_end()  # it is read again: now its timeout counts
        daemon.wait_log("in the middle of a message: 9 of 20 bytes")

    def test_clients_that_flood_do_not_keep_another_from_one_message(self):
        upstream = self.upstream(heartbeat=None)
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{self.CONFIG}")
        session, done = upstream.accept(), threading.Event()
        floods, shy = [daemon.client() for _ in range(3)], daemon.client()

        def pour(client):
            while not done.is_set():
                client.send(*[b"F" * 4000] * 50)

        pouring = [threading.Thread(target=pour, args=(c,), daemon=True) for c in floods]
        for thread in pouring:
            thread.start()
        until(lambda: queue_of(daemon, "toUpstream")["bytes"] > 256 * 1024, "a full queue")
        waits = []
        for _ in range(20):
            shy.send(b"let me through")
            before = 0
            while session.recv() != b"let me through":
                before += 1
                self.assertLess(before, 3000, "starved")
            waits.append(before)
        done.set()
        session.collect()
        for thread in pouring:
            thread.join()
        print("messages of the flood that went before:", waits)
        self.assertLess(sum(waits) / len(waits), 600)

    @harness.in_time
    def test_a_full_close_under_back_pressure_is_noticed_and_what_was_sent_is_taken(self):
        daemon, session, client, sent, rest = self.full()
        leaver, stayer = daemon.client(), daemon.client()
        leaver.send(b"my last words")
        stayer.send(b"mine too")
        wait_listed(daemon, lambda c: c["id"] == 2 and c["connectedUsec"] > 150_000,
                    "it to have been there for a while")
        leaver.close()
        daemon.wait_status(lambda s: s["clients"] == 3, "all three to be listed still")
        check_rests(daemon)
        session.send(b"to who is there")
        stayer.expect(b"to who is there")
        client.expect(b"to who is there")
        books = daemon.status()["toClients"]
        self.assertEqual(books["accepted"]["messages"], 2, "nothing is for who has left")
        got = session.collect()
        if rest:
            client.send_raw(rest)
        got.wait(lambda m: b"my last words" in m and b"mine too" in m, "the last words")
        daemon.wait_clients(2)
        check_books(daemon.status())

    def test_a_half_message_of_who_left_under_back_pressure_is_discarded(self):
        daemon, session, client, sent, rest = self.full()
        leaver = daemon.client()
        leaver.send(b"whole")
        leaver.send_raw(b"\0\0\0\x10part")
        leaver.close()
        got = session.collect()
        if rest:
            client.send_raw(rest)
        got.wait(lambda m: b"whole" in m, "the whole one")
        status = daemon.wait_status(lambda s: s["clients"] == 1, "it to be gone")
        self.assertEqual(status["refused"], {"messages": 1, "bytes": 8})

    def test_what_comes_while_the_link_is_down_waits_and_goes_out_in_order(self):
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=50ms\n"
                             "ReconnectDelayMax=100ms\n")
        upstream.accept().close()
        upstream.refuse()
        daemon.wait_state("waiting")
        clients = [daemon.client() for _ in range(4)]
        for n in range(200):
            for sender, client in enumerate(clients):
                client.send(stamp(sender, n, b"x" * n))
        status = daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 800, "all")
        check_books(status)
        self.assertGreater(status["toUpstream"]["oldestUsec"], 0)
        clients[3].close()  # its messages were accepted
        upstream.listen()
        session = upstream.accept()
        numbers = [[], [], [], []]
        for message in session.recv_n(800):
            sender, number = unstamp(message)
            numbers[sender].append(number)
        self.assertEqual(numbers, [list(range(200))] * 4)
        status = daemon.wait_status(lambda s: not s["toUpstream"]["queued"]["bytes"], "no queue")
        self.assertEqual(check_books(status)["toUpstream"]["delivered"]["messages"], 800)

    def test_a_full_queue_while_the_link_is_down_blocks_and_resumes(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=50ms\n"
                             "ReconnectDelayMax=100ms\n" + self.CONFIG)
        client = daemon.client()
        sent, rest = self.fill(daemon, client)
        check_rests(daemon)
        upstream.listen()
        got = upstream.accept().collect()
        if rest:
            client.send_raw(rest)
        client.send(b"last")
        got.wait_count(sent + bool(rest) + 1)
        self.assertEqual(got.messages[-1], b"last")


class Stopping(harness.SystemTest):
    """SIGTERM."""

    def test_what_clients_had_sent_is_delivered_before_it_ends(self):
        for _ in range(5):
            _, daemon, session = self.linked(PATIENT)
            got = session.collect()
            clients = [daemon.client() for _ in range(3)]
            daemon.wait_clients(3)
            daemon.freeze()
            daemon.process.send_signal(signal.SIGTERM)
            for client in clients:
                client.send(*[b"before the end"] * 100)
            daemon.thaw()
            self.assertEqual(daemon.wait_exit(), 0)
            got.wait_end()
            self.assertEqual(len(got.messages), 300)
            daemon.wait_log("everything was acknowledged")

    def test_a_client_that_goes_on_sending_does_not_delay_the_end(self):
        _, daemon, session = self.linked(PATIENT)
        got, client = session.collect(), daemon.client()

        def pour():
            try:
                while True:
                    client.send(*[KIB] * 100)
            except OSError:
                pass

        pouring = threading.Thread(target=pour, daemon=True)
        pouring.start()
        got.wait_count(1000)
        self.assertEqual(daemon.stop(), 0)
        got.wait_end()
        self.assertEqual(set(got.messages), {KIB})
        daemon.wait_log("everything was acknowledged")
        pouring.join()

    def test_what_could_not_be_delivered_is_told(self):
        _, daemon, session = self.linked("[Service]\nStopTimeout=300ms\n")
        client = daemon.client()
        client.send(*[b"x" * 60_000] * 120)
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 120, "all")
        left = daemon.status()["toUpstream"]["queued"]["messages"]
        self.assertGreater(left, 1)
        daemon.stop()
        daemon.wait_log(r"\d+ messages \(\d+ bytes\) were not acknowledged")
        session.close()


if __name__ == "__main__":
    harness.main()

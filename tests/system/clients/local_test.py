# SPDX-License-Identifier: MIT
"""The local side: clients come and go, everything whole, in order, and nobody pays for another."""
import os
import random
import signal
import subprocess
import sys
import threading

import harness
from harness import random_size, seed, stamp, unstamp, until
from local import BooksWatch, check_books, check_rests, dropped, in_threads, wait_listed

QUIET = "[Heartbeat]\nInterval=0\nTimeout=0\n"


def by_sender(messages):
    """Stamped messages, checked, as the numbers of each sender in the order they came."""
    numbers = {}
    for message in messages:
        sender, number = unstamp(message)
        numbers.setdefault(sender, []).append(number)
    return numbers


class ToClients(harness.SystemTest):
    """Broadcast."""

    def test_every_client_gets_every_message_in_order(self):
        rng = random.Random(number := seed())
        print("seed", number)
        _, daemon, session = self.linked(QUIET, heartbeat=None)
        clients = [daemon.client().collect() for _ in range(12)]
        daemon.wait_clients(12)
        messages = [rng.randbytes(random_size(rng, 300_000)) for _ in range(120)]
        with BooksWatch(daemon):
            for message in messages:
                session.send(message)
            for client in clients:
                client.wait_count(len(messages))
        for client in clients:
            self.assertEqual(client.messages, messages)
        status = check_books(daemon.status())
        self.assertEqual(status["toClients"]["delivered"]["messages"], 12 * len(messages))
        self.assertEqual(status["upstream"]["received"]["messages"], len(messages))

    def test_who_comes_in_mid_stream_gets_whole_messages_from_then_on(self):
        rng = random.Random(number := seed())
        print("seed", number)
        _, daemon, session = self.linked(QUIET + "[Delivery]\nSlowClient=wait\n", heartbeat=None)
        done, left = threading.Event(), threading.Semaphore(0)

        def flow():
            n = 0
            while not (done.is_set() and left._value == 3):
                data = b"".join(
                    session.frame.wrap(stamp(0, n + i, rng.randbytes(random_size(rng, 5000))))
                    for i in range(20))
                n += 20
                while data:
                    size = rng.randrange(1, 30_000)
                    session.send_raw(data[:size])
                    data = data[size:]

        def join_and_leave():
            while not done.is_set():
                with daemon.client() as client:
                    numbers = [unstamp(m)[1] for m in client.recv_n(rng.randrange(1, 60))]
                    self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))

        def stay():
            with daemon.client() as client:
                client.recv_n(3000)
            done.set()

        def leaves(function):
            try:
                function()
            finally:
                done.set() if function is stay else None
                left.release()

        with BooksWatch(daemon):
            in_threads(flow, lambda: leaves(stay), *[lambda: leaves(join_and_leave)] * 2)
        daemon.wait_clients(0)
        check_books(daemon.status())

    def test_half_a_message_from_upstream_is_whole_for_who_comes_before_its_end(self):
        _, daemon, session = self.linked(QUIET, heartbeat=None)
        frame = session.frame.wrap(b"x" * 1000)
        session.send_raw(frame[:500])
        daemon.wait_status(lambda s: s["upstream"].get("partial"), "a partial message")
        client = daemon.client()
        daemon.wait_clients(1)
        session.send_raw(frame[500:])
        client.expect(b"x" * 1000)

    def test_with_nobody_there_messages_are_dropped_and_counted(self):
        _, daemon, session = self.linked()
        session.send(b"one", b"two")
        status = daemon.wait_status(lambda s: s["toClients"]["accepted"]["messages"] == 2, "both")
        self.assertEqual(dropped(check_books(status), "toClients", "no_client"), 2)


class Merging(harness.SystemTest):
    """Many clients, one upstream."""

    def torn(self, rng, client, data, way):
        """Sends bytes in one of the ways in which a stream may be torn."""
        while data:
            size = {"bytes": 1, "whole": len(data), "odd": rng.randrange(1, 70_000),
                    "small": rng.randrange(1, 12)}[way]
            client.send_raw(data[:size])
            data = data[size:]

    def test_messages_of_many_clients_are_never_torn_nor_interleaved(self):
        rng = random.Random(number := seed())
        print("seed", number)
        _, daemon, session = self.linked(QUIET, heartbeat=None)
        got = session.collect()
        ways = [("bytes", 300, 60), ("small", 150, 900), ("odd", 60, 300_000),
                ("odd", 12, 3_000_000), ("whole", 300, 20_000), ("whole", 6, 6_000_000),
                ("small", 150, 200), ("odd", 300, 2_000)]
        sends = []
        for sender, (way, count, biggest) in enumerate(ways):
            own = random.Random(rng.random())
            data = b"".join(
                session.frame.wrap(stamp(sender, n, own.randbytes(random_size(own, biggest))))
                for n in range(count))
            sends.append(lambda w=way, d=data, o=own, c=daemon.client(): self.torn(o, c, d, w))
        total = sum(count for _, count, _ in ways)
        with BooksWatch(daemon, 0.02):
            in_threads(*sends)
            got.wait_count(total, 30 * harness.SLOW)
        for sender, numbers in by_sender(got.messages).items():
            self.assertEqual(numbers, list(range(ways[sender][1])), f"sender {sender}")
        status = daemon.wait_status(lambda s: not s["toUpstream"]["queued"]["messages"], "no queue")
        self.assertEqual(check_books(status)["toUpstream"]["delivered"]["messages"], total)

    def test_a_message_torn_at_every_byte_while_others_send_arrives_whole(self):
        _, daemon, session = self.linked(QUIET, heartbeat=None)
        torn, other = daemon.client(), daemon.client()
        frame = session.frame.wrap(b"torn here")
        for at in range(1, len(frame)):
            torn.send_raw(frame[:at])
            wait_listed(daemon, lambda c, n=at: (c.get("partial") or {}).get("receivedBytes") == n,
                        f"{at} bytes of a message")
            other.send(b"between")
            session.expect(b"between")
            torn.send_raw(frame[at:])
            session.expect(b"torn here")

    def test_empty_messages_pass_where_they_are_no_heartbeats(self):
        _, daemon, session = self.linked(QUIET, heartbeat=None, skip=())
        client = daemon.client()
        client.send(b"", b"a", b"", b"")
        session.expect(b"", b"a", b"", b"")
        session.send(b"", b"b", b"")
        client.expect(b"", b"b", b"")

    def test_messages_of_the_largest_size_pass_both_ways_among_small_ones(self):
        _, daemon, session = self.linked(QUIET, heartbeat=None)
        clients = [daemon.client() for _ in range(3)]
        daemon.wait_clients(3)
        largest = random.Random(1).randbytes(16 << 20)
        got = session.collect()
        in_threads(*(lambda c=c: c.send(b"small", largest, b"small") for c in clients))
        got.wait_count(9)
        self.assertEqual(sorted(map(len, got.messages)), [5] * 6 + [16 << 20] * 3)
        self.assertTrue(all(m in (b"small", largest) for m in got.messages))
        in_threads(lambda: session.send(b"before", largest, b"after"),
                   *(lambda c=c: c.expect(b"before", largest, b"after") for c in clients))
        check_books(daemon.status())

    def test_a_client_that_floods_does_not_keep_others_from_sending(self):
        _, daemon, session = self.linked("[Delivery]\nUpstreamQueueSize=16M\n")
        done, flood = threading.Event(), daemon.client()
        session.skip.add(b"f" * 100)
        got = session.collect()

        def pour():
            block = flood.frame.wrap(b"f" * 100) * 1000
            while not done.is_set():
                flood.send_raw(block)

        def speak():
            try:
                with daemon.client() as client:
                    for n in range(20):
                        client.send(b"ping %d" % n)
                        got.wait(lambda m, w=b"ping %d" % n: w in m, "the ping")
            finally:
                done.set()

        in_threads(pour, speak)


class Going(harness.SystemTest):
    """Ways to leave, and ways to stay with half a connection."""

    def test_a_client_that_sends_no_more_goes_on_receiving(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        client.send(b"last words")
        client.shut_write()
        session.expect(b"last words")
        check_rests(daemon)
        self.assertEqual(daemon.status()["clients"], 1)
        session.send(b"still there?")
        client.expect(b"still there?")
        client.close()
        daemon.wait_clients(0)

    def test_a_full_close_is_noticed_at_once_and_what_was_sent_is_taken(self):
        _, daemon, session = self.linked()
        for _ in range(20):
            client = daemon.client()
            client.send(*[b"message %d" % n for n in range(50)])
            client.close()
            session.expect(*[b"message %d" % n for n in range(50)])
        daemon.wait_clients(0)
        check_rests(daemon)

    def test_killed_clients_are_noticed_and_cost_nobody_anything(self):
        _, daemon, session = self.linked()
        stays_here = daemon.client()
        code = ("import socket,sys,time\n"
                "s = socket.socket(socket.AF_UNIX)\n"
                "s.connect(sys.argv[1])\n"
                "s.sendall(b'\\0\\0\\0\\4work\\0\\0\\0\\x64half')\n"
                "time.sleep(60)\n")
        killed = [self.spawn([sys.executable, "-c", code, daemon.data_path]) for _ in range(3)]
        session.expect(*[b"work"] * 3)
        for process in killed:
            process.send_signal(signal.SIGKILL)
        status = daemon.wait_status(lambda s: s["clients"] == 1, "the others to be gone")
        self.assertEqual(status["refused"], {"messages": 3, "bytes": 24})
        stays_here.send(b"after")
        session.expect(b"after")
        session.send(b"to all")
        stays_here.expect(b"to all")

    def test_what_a_client_did_not_finish_is_discarded_and_counted(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        client.send(b"whole")
        client.send_raw(b"\0\0\0\x64only a part")
        client.close()
        session.expect(b"whole")
        status = daemon.wait_status(lambda s: s["clients"] == 0, "it to be gone")
        self.assertEqual(status["refused"], {"messages": 1, "bytes": 15})
        daemon.wait_log("15 bytes of a message that it did not finish")
        with daemon.client() as other:
            other.send(b"next")
        session.expect(b"next")

    def test_a_large_message_that_is_cut_off_is_never_seen_upstream(self):
        _, daemon, session = self.linked()
        client, other = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        client.send_raw(client.frame.length_field(3_000_000) + b"p" * 2_000_000)
        wait_listed(daemon, lambda c: (c.get("partial") or {}).get("receivedBytes") == 2_000_004,
                    "the part")
        other.send(b"one")
        client.close()
        daemon.wait_clients(1)
        other.send(b"two")
        session.expect(b"one", b"two")
        self.assertEqual(daemon.status()["refused"], {"messages": 1, "bytes": 2_000_004})

    def test_who_shuts_its_reading_side_only_sends(self):
        _, daemon, session = self.linked()
        reader = daemon.client()
        before, after, later = (harness.Framed(harness.socket.socket(harness.socket.AF_UNIX))
                                for _ in range(3))
        for client in (before, after, later):
            self.addCleanup(client.close)
        before.shut_read()
        for client in (before, after, later):
            client.sock.connect(daemon.data_path)
        after.shut_read()
        later.send(b"later")
        session.expect(b"later")
        daemon.wait_clients(4)
        wait_listed(daemon, lambda c: c["sendOnly"], "who shut it after connecting")
        later.shut_read()
        session.send(b"one", b"two")
        reader.expect(b"one", b"two")
        until(lambda: sum(c["sendOnly"] for c in daemon.call("ListClients")["clients"]) == 3,
              "all three")
        session.send(b"three")
        reader.expect(b"three")
        for number, client in enumerate((before, after, later)):
            client.send(b"from %d" % number)
            session.expect(b"from %d" % number)
        status = check_books(daemon.status())
        self.assertEqual(status["clients"], 4)
        self.assertEqual(status["toClients"]["delivered"]["messages"], 3)
        self.assertEqual(status["toClients"]["queued"]["messages"], 0)
        for client in (before, after, later):
            client.close()
        daemon.wait_clients(1)

    def test_with_only_senders_there_nobody_is_there_to_receive(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        client.shut_read()
        wait_listed(daemon, lambda c: c["sendOnly"], "a sender")
        session.send(b"hello?")
        status = daemon.wait_status(lambda s: s["toClients"]["accepted"]["messages"], "it")
        self.assertEqual(dropped(status, "toClients", "no_client"), 1)
        client.send(b"alive")
        session.expect(b"alive")


class Listing(harness.SystemTest):
    """ListClients."""

    def test_clients_are_listed_with_who_they_are_and_what_they_did(self):
        _, daemon, session = self.linked("[Delivery]\nClientQueueSize=2M\n")
        code = ("import socket,sys\n"
                "s = socket.socket(socket.AF_UNIX)\n"
                "s.connect(sys.argv[1])\n"
                "s.sendall(b'\\0\\0\\0\\3one\\0\\0\\0\\5three\\0\\0\\0\\x09half')\n"
                "s.recv(100)\nsys.stdin.read()\n")
        other = self.spawn([sys.executable, "-c", code, daemon.data_path], stdin=subprocess.PIPE)
        session.expect(b"one", b"three")
        session.send(b"four")
        listed = wait_listed(daemon, lambda c: c.get("partial") and c["sent"]["messages"], "it")
        self.assertEqual(listed["pid"], other.pid)
        self.assertEqual((listed["uid"], listed["gid"]), (os.getuid(), os.getgid()))
        self.assertIn("python", listed["program"])
        self.assertEqual(listed["received"], {"messages": 2, "bytes": 16})
        self.assertEqual(listed["sent"], {"messages": 1, "bytes": 8})
        self.assertEqual(listed["queued"], {"messages": 0, "bytes": 0})
        self.assertEqual(listed["dropped"], {"messages": 0, "bytes": 0})
        self.assertEqual(listed["queueLimitBytes"], 2 << 20)
        self.assertEqual(listed["partial"]["declaredBytes"], 9)
        self.assertFalse(listed["sendOnly"] or listed["receiveOnly"])
        self.assertIsNone(listed.get("peer"))
        self.assertGreater(listed["connectedUsec"], 0)
        other.stdin.close()
        daemon.wait_clients(0)

    def test_a_program_with_an_odd_name_does_not_break_the_list(self):
        _, daemon, _ = self.linked()
        code = ("import ctypes,socket,sys\n"
                "ctypes.CDLL(None).prctl(15, b'\\xff\\xfe\\n\"\\\\\\x01x')\n"
                "s = socket.socket(socket.AF_UNIX)\n"
                "s.connect(sys.argv[1])\n"
                "sys.stdin.read()\n")
        odd = self.spawn([sys.executable, "-c", code, daemon.data_path], stdin=subprocess.PIPE)
        daemon.wait_clients(1)
        listed = daemon.call("ListClients")["clients"]
        self.assertEqual([c["pid"] for c in listed], [odd.pid])
        odd.stdin.close()


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""The local side: clients come and go, everything whole, in order, and nobody pays for another."""
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

import harness
from harness import random_size, seed, stamp, unstamp, until
from local import BooksWatch, check_books, check_rests, descriptors, dropped, resident
from local import Wrapped, stays, wait_listed

QUIET = "[Heartbeat]\nInterval=0\nTimeout=0\n"


def in_threads(*functions):
    """Runs all at once; the first failure is raised."""
    faults = []

    def run(function):
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-except
            faults.append(error)

    threads = [threading.Thread(target=run, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


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


class BadClients(harness.SystemTest):
    """What is wrong costs only who does it, and the log says why."""

    def linked_with_good(self, config="", frame=None):
        _, daemon, session = self.linked(config, frame=frame)
        good = daemon.client(frame)
        daemon.wait_clients(1)
        return daemon, session, good

    def check_good(self, session, good):
        good.send(b"good")
        session.expect(b"good")
        session.send(b"all")
        good.expect(b"all")

    def cut_off(self, data, reason, config="", whole=0, frame=None):
        daemon, session, good = self.linked_with_good(config, frame)
        bad = daemon.client()
        bad.send_raw(data)
        bad.expect_end()
        daemon.wait_log(reason)
        daemon.wait_clients(1)
        status = check_books(daemon.status())
        self.assertEqual(status["refused"]["messages"], 1)
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], whole)
        for _ in range(whole):
            session.recv()
        self.check_good(session, good)

    def test_http_is_told_from_a_length(self):
        self.cut_off(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
                     "client 2 .* is disconnected: a length of 1195725856 .*HTTP")

    def test_an_impossible_length_is_refused_before_its_bytes_come(self):
        self.cut_off(b"\xff\xff\xff\xff", "a length of 4294967295 .*MaxMessageSize is 16777216")

    def test_whole_messages_before_a_broken_one_are_taken(self):
        self.cut_off(b"\0\0\0\2ok\0\0\0\2ok\x7fgarbage", "a length of 2137481586", whole=2)

    def test_a_message_larger_than_allowed_by_one_byte_is_refused(self):
        self.cut_off(b"\0\0\x10\1" + b"x" * 4097, "a length of 4097 .*MaxMessageSize is 4096",
                     "[Frame]\nMaxMessageSize=4K\n")

    def test_lines_without_an_end_are_refused(self):
        self.cut_off(b"x" * 200, "no delimiter within MaxMessageSize=100",
                     "[Frame]\nType=delimiter\nMaxMessageSize=100\n",
                     frame=harness.Frame(delimiter=b"\n"))

    def test_random_garbage_never_passes_as_a_message(self):
        rng = random.Random(number := seed())
        print("seed", number)
        daemon, session, good = self.linked_with_good("[Frame]\nMaxMessageSize=4K\n")
        for _ in range(60):
            with daemon.client() as bad:
                try:
                    noise = rng.randbytes(rng.randrange(3, 9000))
                    bad.send_raw(bytes([rng.randrange(1, 256)]) + noise)
                    bad.expect_end()
                except (BrokenPipeError, ConnectionResetError):
                    pass
        daemon.wait_clients(1)
        status = check_books(daemon.status())
        self.assertEqual(status["refused"]["messages"], 60)
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], 0)
        self.check_good(session, good)

    def test_half_a_message_and_nothing_more_is_cut_off_in_time(self):
        daemon, session, good = self.linked_with_good()
        bad = daemon.client()
        bad.send_raw(b"\0\0\0\x09half")
        listed = wait_listed(daemon, lambda c: c.get("partial"), "the partial message")
        self.assertEqual(listed["partial"]["declaredBytes"], 9)
        self.assertEqual(listed["partial"]["receivedBytes"], 8)
        daemon.reconfigure("[Frame]\nTimeout=400ms\n")
        bad.expect_end()
        daemon.wait_log(r"in the middle of a message: 8 of 13 bytes came")
        self.check_good(session, good)

    def test_what_came_while_we_stood_still_is_in_time(self):
        daemon, session, good = self.linked_with_good("[Frame]\nTimeout=1s\n")
        client = daemon.client()
        for _ in range(3):  # where it stands still is a matter of luck
            client.send_raw(b"\0\0\0\x09half")
            wait_listed(daemon, lambda c: c.get("partial"), "the partial message")
            daemon.freeze()
            client.send_raw(b"whole")
            time.sleep(1.2)
            daemon.thaw()
            session.expect(b"halfwhole")
        self.check_good(session, good)

    @harness.in_time
    def test_who_drips_its_message_is_not_cut_off(self):
        daemon, session, good = self.linked_with_good("[Frame]\nTimeout=500ms\n")
        slow = daemon.client()
        frame = slow.frame.wrap(b"0123456789")
        for at, byte in enumerate(frame):
            slow.send_raw(bytes([byte]))
            if at < len(frame) - 1:
                stays(lambda: daemon.status()["clients"] == 2, 0.1)
        session.expect(b"0123456789")
        self.check_good(session, good)

    def test_the_oldest_unfinished_message_goes_when_all_take_too_much(self):
        daemon, session, good = self.linked_with_good(
            "[Frame]\nMaxMessageSize=1M\n[Local]\nPartialSize=2M\n"
            "[Delivery]\nUpstreamQueueSize=1M\n")
        partial = {}
        for name, size in (("oldest", 700_000), ("second", 700_001)):
            partial[name] = daemon.client()
            partial[name].send_raw(b"\0\x0f\0\0" + b"p" * size)
            wait_listed(daemon, lambda c, n=size + 4: c.get("partial")
                        and c["partial"]["receivedBytes"] == n, f"the {name} part")
        partial["newest"] = daemon.client()
        partial["newest"].send_raw(b"\0\x0f\0\0" + b"p" * 800_000)
        partial["oldest"].expect_end()
        daemon.wait_log("client 2 .* is disconnected: .*PartialSize=")
        daemon.wait_clients(3)
        for name, size in (("second", 700_001), ("newest", 800_000)):
            partial[name].send_raw(b"p" * (0xf0000 - size))
            self.assertEqual(session.recv(), b"p" * 0xf0000)
        self.check_good(session, good)

    def test_one_client_too_many_is_closed_at_once_and_counted(self):
        daemon, session, good = self.linked_with_good("[Local]\nMaxClients=3\n")
        others = [daemon.client(), daemon.client()]
        daemon.wait_clients(3)
        for _ in range(50):
            with daemon.client() as late:
                late.expect_end()
        status = daemon.status()
        self.assertEqual((status["clients"], status["clientsLimit"]), (3, 3))
        self.assertEqual((status["clientsAccepted"], status["clientsRefused"]), (3, 50))
        self.assertEqual(daemon.log.count("MaxClients"), 1, "a crowd at the door floods the log")
        self.check_good(session, good)
        others[0].close()
        daemon.wait_clients(2)
        with daemon.client() as client:
            daemon.wait_clients(3)
            self.check_good(session, client)


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


class Crowds(harness.SystemTest):
    """Many of them."""

    def test_a_flood_of_connections_leaks_nothing(self):
        _, daemon, session = self.linked()
        before = descriptors(daemon.pid)
        rng = random.Random(number := seed())
        print("seed", number)

        def come_and_go():
            for _ in range(300):
                with daemon.client() as client:
                    kind = rng.random()
                    if kind < 0.4:
                        client.send(b"hello", b"bye")
                    elif kind < 0.6:
                        client.send_raw(b"\0\0\1")
                    elif kind < 0.7:
                        client.send_raw(b"\xff" * 9)

        got = session.collect()
        with BooksWatch(daemon):
            in_threads(come_and_go, come_and_go, come_and_go)
        # Who has come and gone may be in the backlog still: nobody is there, and yet not all came.
        status = check_books(daemon.wait_status(
            lambda s: s["clientsAccepted"] >= 900 and s["clients"] == 0, "all to have gone"))
        got.wait_count(status["toUpstream"]["accepted"]["messages"])
        self.assertEqual(set(got.messages), {b"hello", b"bye"})
        self.assertEqual(status["clientsAccepted"], 900)
        # Before, a connection of ours to its control socket may still have been one of them.
        until(lambda: descriptors(daemon.pid) <= before, "all descriptors to be closed")

    def test_without_descriptors_it_rests_and_recovers_and_keeps_its_link(self):
        upstream = self.upstream()
        with Wrapped(self, '#!/bin/sh\nulimit -n 64\nexec {ftcpd} "$@"\n'):
            daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=50ms\n")
        session = upstream.accept()
        daemon.wait_state("up")
        crowd = [daemon.client() for _ in range(100)]
        daemon.wait_log("LimitNOFILE=")
        check_rests(daemon)
        status = daemon.status()
        self.assertLess(status["clients"], 60)
        self.assertEqual(status["upstream"]["state"], "up")
        session.reset()  # the link must still find a descriptor
        session = upstream.accept()
        daemon.wait_state("up")
        session.send(b"to the crowd")
        crowd[0].expect(b"to the crowd")
        for client in crowd:
            client.close()
        daemon.wait_clients(0)
        with daemon.client() as client:
            client.send(b"recovered")
            session.expect(b"recovered")
        self.assertLessEqual(daemon.log.count("LimitNOFILE="), 4)

    def test_a_crowd_at_the_control_socket_that_takes_the_last_descriptors_stops_nobody(self):
        upstream = self.upstream()
        with Wrapped(self, '#!/bin/sh\nulimit -n 64\nexec {ftcpd} "$@"\n'):
            daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
        session = upstream.accept()
        client = daemon.client()
        daemon.wait_clients(1)
        crowd = [harness.Varlink(daemon.control_path) for _ in range(70)]
        daemon.wait_log("can't accept clients for now: Too many open files")
        check_rests(daemon, 0.5)
        client.send(b"through")
        session.expect(b"through")
        self.assertEqual(daemon.log.count("can't accept"), 1)
        for one in crowd:
            one.close()
        daemon.wait_status(lambda s: s["clients"] == 1, "an answer")

    def test_idle_clients_cost_little(self):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        _, daemon, session = self.linked("[Local]\nMaxClients=2000\n")
        before = resident(daemon.pid)
        clients = [daemon.client() for _ in range(2000)]
        daemon.wait_clients(2000)
        each = (resident(daemon.pid) - before) / 2000
        print(f"{each:.0f} bytes of memory for an idle client")
        self.assertLess(each, 4096)
        check_rests(daemon)
        session.send(b"to all")
        for client in clients:
            client.expect(b"to all")

    def test_after_a_bulk_run_memory_goes_back(self):
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n"
                             "[Delivery]\nSlowClient=wait\nClientQueueSize=32M\n")
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        daemon.wait_clients(1)
        before = resident(daemon.pid)
        message = b"b" * 1_000_000
        in_threads(lambda: session.send(*[message] * 30), lambda: daemon.wait_status(
            lambda s: s["toClients"]["queued"]["bytes"] > 25_000_000, "a long queue"))
        full = resident(daemon.pid)
        client.recv_n(30)
        daemon.wait_status(lambda s: not s["toClients"]["queued"]["bytes"], "no queue")
        after = resident(daemon.pid)
        print(f"{before >> 10} KiB before, {full >> 10} KiB full, {after >> 10} KiB after")
        self.assertGreater(full - before, 20_000_000)
        self.assertLess(after - before, 10_000_000)


if __name__ == "__main__":
    harness.main()

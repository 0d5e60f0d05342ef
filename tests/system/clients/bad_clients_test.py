# SPDX-License-Identifier: MIT
"""Clients that break the rules, and crowds of them: nobody else pays."""
import random
import resource
import time

import harness
from harness import seed, until
from local import BooksWatch, Wrapped, check_books, check_rests, descriptors, in_threads, resident
from local import stays, wait_listed


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
        count = harness.often(60, 2000)
        for _ in range(count):
            with daemon.client() as bad:
                try:
                    noise = rng.randbytes(rng.randrange(3, 9000))
                    bad.send_raw(bytes([rng.randrange(1, 256)]) + noise)
                    bad.expect_end()
                except (BrokenPipeError, ConnectionResetError):
                    pass
        daemon.wait_clients(1)
        status = check_books(daemon.status())
        self.assertEqual(status["refused"]["messages"], count)
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

    def test_the_largest_unfinished_message_goes_when_all_take_too_much(self):
        daemon, session, good = self.linked_with_good(
            "[Frame]\nMaxMessageSize=1M\n[Local]\nPartialSize=2M\n"
            "[Delivery]\nUpstreamQueueSize=1M\n")
        partial = {}
        for name, size in (("first", 700_000), ("largest", 900_000)):
            partial[name] = daemon.client()
            partial[name].send_raw(b"\0\x0f\0\0" + b"p" * size)
            wait_listed(daemon, lambda c, n=size + 4: c.get("partial")
                        and c["partial"]["receivedBytes"] == n, f"the {name} part")
        partial["newest"] = daemon.client()
        partial["newest"].send_raw(b"\0\x0f\0\0" + b"p" * 600_000)
        partial["largest"].expect_end()
        daemon.wait_log("client 3 .* is disconnected: .*PartialSize=")
        daemon.wait_clients(3)
        for name, size in (("first", 700_000), ("newest", 600_000)):
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

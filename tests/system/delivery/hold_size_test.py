# SPDX-License-Identifier: MIT
"""What the upstream sends is held while nobody is there."""
import random
import subprocess
import time

import harness
from harness import stamp
from losses import QUICK
from local import NOBODY_CHOSE, BooksWatch, check_books, dropped, reasons, wait_listed
from spreading import (
    deaf_client, numbered, numbers_of, queued, wait_accepted, wait_delivered, wait_received)

TRUST = 0.1  # so long after it came a client may be given what is held


class Hold(harness.SystemTest):
    """HoldSize=."""

    def holding(self, count=10, config="HoldSize=1M\n", size=0):
        """A daemon that holds so many messages, and the upstream's session."""
        upstream, daemon, session = self.linked(f"{QUICK}[Delivery]\n{config}")
        session.send(*numbered(0, count, size))
        wait_received(daemon, count)
        return upstream, daemon, session

    def check_delivered(self, daemon, count):
        """All that came was delivered, and nothing given up."""
        status = wait_delivered(daemon, count)
        self.assertEqual(status["toClients"]["dropped"], [])
        self.assertEqual(queued(status), 0)

    def test_what_came_goes_to_the_first_who_stays_and_others_get_what_came_since(self):
        _, daemon, session = self.holding()
        self.assertEqual(queued(daemon.status()), 10)
        first = daemon.client()
        daemon.wait_clients(1)
        session.send(*numbered(10, 12))
        wait_received(daemon, 12)
        second = daemon.client()
        daemon.wait_clients(2)
        session.send(*numbered(12, 20))
        with BooksWatch(daemon):
            first.expect(*numbered(0, 20))
            second.expect(*numbered(12, 20))
        self.check_delivered(daemon, 28)

    def test_who_came_first_is_the_first_and_the_others_have_waited_for_nothing(self):
        for _ in range(5):
            _, daemon, session = self.holding()
            clients = [daemon.client() for _ in range(6)]
            daemon.wait_clients(6)
            session.send(*numbered(10, 13))
            clients[0].expect(*numbered(0, 13))
            for client in clients[1:]:
                client.expect(*numbered(10, 13))
            self.check_delivered(daemon, 13 + 5 * 3)

    @harness.in_time
    def test_a_sender_never_takes_what_is_held(self):
        def after(path):
            sender = harness.unix_connect(path)
            sender.shut_read()
            return sender

        def later(path):
            sender = harness.unix_connect(path)
            time.sleep(TRUST / 2)
            sender.shut_read()
            return sender

        for come in (deaf_client, after, later):
            for says in (True, False):
                with self.subTest(come.__name__, says=says):
                    self.in_time(lambda: self.sender_comes(come, says))

    def in_time(self, attempt):
        """Repeats what must be done within 100 ms of the client's arrival until it was."""
        for _ in range(20):
            if attempt():
                return
        self.skipTest("this machine is too slow to do anything within 100 ms")

    def sender_comes(self, come, says):
        _, daemon, session = self.holding()
        begin = time.monotonic()
        sender = come(daemon.data_path)
        if time.monotonic() - begin > 0.9 * TRUST:
            return False
        with sender:
            if says:
                sender.send(b"from a sender")
                session.expect(b"from a sender")
            wait_listed(daemon, lambda c: c["sendOnly"], "it to be found out")
            session.send(*numbered(10, 12))
            self.assertEqual(queued(wait_received(daemon, 12)), 12)
            daemon.client().expect(*numbered(0, 12))
            self.check_delivered(daemon, 12)
        return True

    def test_senders_that_came_just_before_take_nothing_from_who_reads(self):
        for _ in range(3):
            _, daemon, session = self.holding()
            with deaf_client(daemon.data_path), deaf_client(daemon.data_path):
                client = daemon.client()
                daemon.wait_clients(3)
                session.send(*numbered(10, 12))
                client.expect(*numbered(0, 12))
                self.check_delivered(daemon, 12)

    def test_a_sender_that_was_not_found_out_yet_costs_no_message(self):
        _, daemon, session = self.holding(0)
        with deaf_client(daemon.data_path) as sender:
            wait_listed(daemon, lambda c: c["connectedUsec"] > 200_000, "it to be trusted")
            self.assertFalse(daemon.call("ListClients")["clients"][0]["sendOnly"])
            session.send(*numbered(0, 10))
            wait_listed(daemon, lambda c: c["sendOnly"], "it to be found out")
            self.assertEqual(queued(wait_received(daemon, 10)), 10)
            sender.send(b"still sending")
            session.expect(b"still sending")
            session.send(*numbered(10, 12))
            wait_received(daemon, 12)
            daemon.client().expect(*numbered(0, 12))
            self.check_delivered(daemon, 12)

    @harness.in_time
    def test_who_leaves_at_once_takes_nothing_with_it(self):
        def attempt():
            _, daemon, session = self.holding()
            begin = time.monotonic()
            passer = daemon.client()
            daemon.wait_status(lambda s: s["clientsAccepted"] == 1, "it to be accepted")
            passer.close()
            if time.monotonic() - begin > 0.9 * TRUST:
                return False
            daemon.wait_clients(0)
            session.send(*numbered(10, 12))
            self.assertEqual(queued(wait_received(daemon, 12)), 12)
            daemon.client().expect(*numbered(0, 12))
            self.check_delivered(daemon, 12)
            return True

        self.in_time(attempt)

    def test_who_half_closes_at_once_gets_what_is_held(self):
        _, daemon, session = self.holding()
        client = daemon.client()
        client.shut_write()
        client.expect(*numbered(0, 10))
        session.send(*numbered(10, 12))
        client.expect(*numbered(10, 12))
        self.check_delivered(daemon, 12)

    def test_who_sent_something_and_reads_gets_what_is_held(self):
        _, daemon, session = self.holding()
        client = daemon.client()
        client.send(b"hello")
        session.expect(b"hello")
        client.expect(*numbered(0, 10))

    def test_what_is_held_is_given_only_once_and_then_held_anew(self):
        _, daemon, session = self.holding()
        first = daemon.client()
        first.expect(*numbered(0, 10))
        first.close()
        daemon.wait_clients(0)
        session.send(*numbered(10, 15))
        wait_received(daemon, 15)
        second = daemon.client()
        second.expect(*numbered(10, 15))
        third = daemon.client()
        daemon.wait_clients(2)
        session.send(*numbered(15, 16))
        second.expect(*numbered(15, 16))
        third.expect(*numbered(15, 16))
        self.check_delivered(daemon, 17)

    def test_when_it_is_full_the_oldest_go_and_that_is_a_warning(self):
        _, daemon, session = self.holding(8, "HoldSize=10K\n", 1024)
        self.assertEqual(reasons(daemon), [])
        with BooksWatch(daemon):
            session.send(*numbered(8, 30, 1024))
            status = wait_received(daemon, 30)
            self.assertEqual(dropped(status, "toClients", "hold_full"), 20)
            books = status["toClients"]
            self.assertEqual(books["queued"], {"messages": 10, "bytes": 10240})
            self.assertEqual((books["fullestBytes"], books["limitBytes"]), (10240, 10240))
            self.assertEqual(status["health"], "warning")
            self.assertIn(NOBODY_CHOSE, reasons(daemon))
            self.assertIn("the held queue is over 80 %: 10240 of 10240 bytes", reasons(daemon))
            client = daemon.client()
            client.expect(*numbered(20, 30, 1024))
        session.send(*numbered(30, 31))
        client.expect(*numbered(30, 31))

    def test_who_is_there_but_not_trusted_yet_loses_nothing_that_comes_meanwhile(self):
        for balance in ("", "ToClients=balance\n"):
            _, daemon, session = self.holding(5, "HoldSize=10K\n" + balance, 1024)
            client = daemon.client()
            daemon.wait_clients(1)
            with BooksWatch(daemon):
                session.send(*numbered(5, 2000, 1024))
                client.expect(*numbered(0, 2000, 1024))
            self.check_delivered(daemon, 2000)

    def test_what_came_while_a_sender_was_there_is_cut_to_the_limit_when_it_is_found_out(self):
        _, daemon, session = self.holding(5, "HoldSize=10K\n", 1024)
        with deaf_client(daemon.data_path):
            daemon.wait_clients(1)
            session.send(*numbered(5, 2000, 1024))
            wait_listed(daemon, lambda c: c["sendOnly"], "it to be found out")
            wait_received(daemon, 2000)
            status = daemon.wait_status(lambda s: queued(s) == 10, "the rest")
            self.assertEqual(dropped(status, "toClients", "hold_full"), 1990)
            daemon.client().expect(*numbered(1990, 2000, 1024))

    def test_one_message_is_held_whatever_its_size(self):
        _, daemon, session = self.holding(1, "HoldSize=10K\n", 3_000_000)
        self.assertEqual(queued(daemon.status()), 1)
        session.send(*numbered(1, 2))
        status = wait_received(daemon, 2)
        self.assertEqual(dropped(status, "toClients", "hold_full"), 1)
        session.send(*numbered(2, 3, 500_000))
        status = wait_received(daemon, 3)
        self.assertEqual(dropped(status, "toClients", "hold_full"), 2)
        self.assertEqual(queued(status), 1)
        daemon.client().expect(*numbered(2, 3, 500_000))

    def test_under_a_flood_what_is_held_is_the_newest_and_memory_is_bounded(self):
        _, daemon, session = self.linked("[Delivery]\nHoldSize=100K\n", heartbeat=None)
        rng, count = random.Random(7), 20_000
        bodies = [bytes(rng.randrange(2000)) for _ in range(count)]
        with BooksWatch(daemon):
            session.send(*[stamp(0, n, bodies[n]) for n in range(count)])
            status = wait_received(daemon, count)
        self.assertLessEqual(status["toClients"]["queued"]["bytes"], 100 * 1024)
        left = queued(status)
        self.assertGreater(left, 50)
        self.assertEqual(dropped(status, "toClients", "hold_full"), count - left)
        client = daemon.client()
        self.assertEqual(numbers_of(client.recv_n(left)), list(range(count - left, count)))

    def test_what_is_held_outlives_the_link(self):
        upstream, daemon, session = self.holding()
        session.reset()
        session = upstream.accept()
        daemon.wait_state("up")
        session.send(*numbered(10, 12))
        self.assertEqual(queued(wait_received(daemon, 12)), 12)
        upstream.refuse()
        session.close()
        daemon.wait_state(("waiting", "connecting"))
        daemon.client().expect(*numbered(0, 12))

    def test_what_comes_while_all_clients_are_on_their_way_out_is_held_for_the_next(self):
        upstream, daemon, session = self.linked(
            f"{QUICK}[Delivery]\nHoldSize=1M\nOnLinkLoss=disconnect\n"
        )
        slow = [daemon.client(), daemon.client()]
        daemon.wait_clients(2)
        session.send(*numbered(0, 1, 2000))
        wait_delivered(daemon, 2)  # nobody waits to be trusted any more
        session.send(*numbered(1, 1000, 2000))
        wait_accepted(daemon, 2000)
        with BooksWatch(daemon):
            session.close()
            session = upstream.accept()
            daemon.wait_state("up")
            session.send(*numbered(1000, 1010))
            wait_received(daemon, 1010)
            new = daemon.client()
            new.expect(*numbered(1000, 1010))
            for client in slow:
                client.expect(*numbered(0, 1000, 2000))
                client.expect_end()
        daemon.wait_clients(1)
        self.check_delivered(daemon, 2010)

    def test_who_still_waits_when_the_link_is_lost_is_dismissed_and_takes_nothing(self):
        upstream, daemon, session = self.holding(10, "HoldSize=1M\nOnLinkLoss=disconnect\n")
        client = daemon.client()
        daemon.wait_clients(1)
        session.close()
        got = numbers_of(iter(client.recv, None))
        self.assertIn(got, ([], list(range(10))))  # trusted already, or not
        upstream.accept()
        if not got:
            daemon.client().expect(*numbered(0, 10))
        self.check_delivered(daemon, 10)

    def test_nothing_is_held_by_default(self):
        _, daemon, session = self.holding(10, "")
        status = daemon.status()
        self.assertEqual(dropped(status, "toClients", "no_client"), 10)
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(*numbered(10, 11))
        client.expect(*numbered(10, 11))
        self.assertEqual(reasons(daemon), [])

    def test_what_is_held_for_long_is_a_warning(self):
        _, daemon, session = self.linked("[Delivery]\nHoldSize=1M\n[Health]\nMaxAge=300ms\n")
        session.send(b"old")
        harness.until(
            lambda: [r for r in reasons(daemon)
                     if r.startswith("the oldest message in the held queue has waited for")],
            "the warning")
        self.assertGreater(daemon.status()["toClients"]["oldestUsec"], 300_000)
        daemon.client().expect(b"old")
        harness.until(lambda: not reasons(daemon), "the warning to go")


class HoldReloaded(harness.SystemTest):
    """HoldSize= after a reload."""

    def setUp(self):
        super().setUp()
        self.up, self.process, self.session = self.linked()
        self.reload("HoldSize=1M\n")

    def reload(self, delivery, more=""):
        self.process.configure(
            f"[Upstream]\nAddress={self.up.address}\n{more}[Delivery]\n{delivery}"
        )
        self.process.call("Reload")

    def hold(self, first, last):
        self.session.send(*numbered(first, last, 1024))
        return wait_received(self.process, last)

    def test_it_begins_to_hold(self):
        self.assertEqual(queued(self.hold(0, 10)), 10)
        self.process.client().expect(*numbered(0, 10, 1024))

    def test_smaller_lets_the_oldest_go_at_once(self):
        self.hold(0, 30)
        with BooksWatch(self.process):
            self.reload("HoldSize=10K\n")
            status = check_books(self.process.status())
            self.assertEqual(dropped(status, "toClients", "hold_full"), 20)
            self.assertEqual(queued(self.hold(30, 31)), 10)
            self.process.client().expect(*numbered(21, 31, 1024))

    def test_larger_keeps_what_was_held_and_holds_more(self):
        self.reload("HoldSize=10K\n")
        self.hold(0, 10)
        self.reload("HoldSize=20K\n")
        self.assertEqual(queued(self.hold(10, 20)), 20)
        self.assertEqual(dropped(self.hold(20, 21), "toClients", "hold_full"), 1)
        self.process.client().expect(*numbered(1, 21, 1024))

    def test_0_lets_all_go_and_holds_no_more(self):
        self.hold(0, 30)
        self.reload("HoldSize=0\n")
        status = check_books(self.process.status())
        self.assertEqual(dropped(status, "toClients", "hold_full"), 30)
        status = self.hold(30, 33)
        self.assertEqual(dropped(status, "toClients", "no_client"), 3)
        client = self.process.client()
        self.process.wait_clients(1)
        self.session.send(*numbered(33, 34))
        client.expect(*numbered(33, 34))

    def test_0_while_somebody_waits_gives_it_what_came_since_it_is_there(self):
        self.hold(0, 10)
        client = self.process.client()
        self.process.wait_clients(1)
        self.hold(10, 12)
        self.reload("HoldSize=0\n")
        self.hold(12, 13)
        got = numbers_of(client.recv_n(3))
        if got[0] == 0:  # it was trusted already
            got = numbers_of(client.recv_n(10))
        self.assertEqual(got, [10, 11, 12])
        check_books(self.process.status())

    def test_a_reload_of_other_keys_touches_nothing_that_is_held(self):
        self.hold(0, 10)
        for turn in range(3):
            self.reload(f"HoldSize=1M\nSlowClientGrace={turn + 1}s\n", "[Health]\nFlaps=9\n")
            self.hold(10 + turn, 11 + turn)
        self.reload("HoldSize=1M\nSlowClient=drop\n")
        self.process.client().expect(*numbered(0, 13, 1024))

    def test_a_change_of_the_address_touches_nothing_that_is_held(self):
        self.hold(0, 10)
        self.up = self.upstream()
        self.reload("HoldSize=1M\n")
        self.session = self.up.accept()
        self.process.wait_state("up")
        self.hold(10, 12)
        self.process.client().expect(*numbered(0, 12, 1024))

    def test_a_change_of_how_it_goes_out_touches_nothing_that_is_held(self):
        for turn in range(4):
            self.hold(10 * turn, 10 * turn + 10)
            self.reload(f"HoldSize=1M\nToClients={('balance', 'broadcast')[turn % 2]}\n")
            check_books(self.process.status())
        self.hold(40, 45)
        self.process.client().expect(*numbered(0, 45, 1024))


class MoreThanAQueue(harness.SystemTest):
    """What is held may be more than one client may have waiting."""

    def test_all_that_is_held_is_given_whatever_is_done_with_slow_clients(self):
        for policy in ("drop", "disconnect\nSlowClientGrace=1min", "wait"):
            _, daemon, session = self.linked(
                f"[Delivery]\nHoldSize=32M\nClientQueueSize=256K\nSlowClient={policy}\n")
            messages = [stamp(1, i, bytes(10000)) for i in range(1500)]
            session.send(*messages)
            daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"] == 1500,
                               "all to be held")
            client = daemon.client()
            client.expect(*messages)
            books = check_books(daemon.status())["toClients"]
            self.assertEqual(books["dropped"], [], policy)
            self.assertEqual(books["delivered"]["messages"], 1500)

    def test_once_it_is_read_the_limit_is_the_client_s(self):
        _, daemon, session = self.linked(
            "[Delivery]\nHoldSize=32M\nClientQueueSize=64K\nSlowClient=drop\n")
        messages = [stamp(1, i, bytes(10000)) for i in range(300)]
        session.send(*messages)
        daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"] == 300, "all to be held")
        client = daemon.client()
        client.expect(*messages)
        session.send(*messages, *messages)
        # What came in this very turn of the daemon may be in the queue still.
        status = daemon.wait_status(
            lambda s: s["upstream"]["received"]["messages"] == 900
            and s["toClients"]["queued"]["bytes"] < 80000, "the queue to be cut to its limit")
        self.assertGreater(dropped(status, "toClients", "queue_full"), 0)


class Check(harness.SystemTest):
    """What --check-config says of these keys."""

    def check(self, delivery):
        _, daemon, _ = self.linked()
        daemon.configure(f"[Upstream]\nAddress=127.0.0.1:9\n[Delivery]\n{delivery}\n")
        done = subprocess.run(
            [harness.program("ftcpd"), "--config", daemon.config_path, "--check-config"],
            capture_output=True, text=True, timeout=harness.DEADLINE, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_the_memory_that_is_held_is_in_the_sum(self):
        code, text = self.check("HoldSize=3M")
        self.assertEqual(code, 0, text)
        self.assertIn("HoldSize=3M, ", text)
        self.assertNotIn("HoldSize=", self.check("")[1])

    def test_balance_needs_memory_for_each_client(self):
        code, text = self.check("ToClients=balance\n[Local]\nMaxClients=7")
        self.assertEqual(code, 0, text)
        self.assertIn("ClientQueueSize=16M for each of 7 and 192M for the pieces that it is dealt "
                      "in", text)
        self.assertIn("at most 448M of memory", text)
        text = self.check("ToClients=balance\nClientQueueSize=64K\n[Local]\nMaxClients=2")[1]
        self.assertIn("ClientQueueSize=64K for each of 2 and 6M for the pieces", text)

    def test_to_hold_more_than_a_client_may_have_waiting_is_pointed_out(self):
        for policy, told in (("disconnect", True), ("drop", False), ("wait", False)):
            code, text = self.check(f"HoldSize=3M\nClientQueueSize=2M\nSlowClient={policy}")
            self.assertEqual(code, 0, text)
            self.assertEqual("HoldSize= is above ClientQueueSize=" in text, told, text)

    def test_what_is_no_value_is_an_error(self):
        for wrong in ("HoldSize=lots", "ToClients=all", "SlowClient=kill", "HoldSize=-1"):
            code, text = self.check(wrong)
            self.assertEqual(code, 78, wrong)
            self.assertIn(wrong.partition("=")[0], text)


if __name__ == "__main__":
    harness.main()

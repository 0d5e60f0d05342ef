# SPDX-License-Identifier: MIT
"""ToClients=balance: each message at exactly one client, whoever comes, hangs and goes."""
import random
import signal
import subprocess
import threading
import time

import harness
from harness import SLOW, stamp, unstamp
from losses import QUICK
from local import (
    NOBODY_CHOSE, BooksWatch, check_books, dropped, reasons, shared_memory, stays, wait_listed)
from spreading import (
    deaf_client, numbered, numbers_of, queued, wait_accepted, wait_delivered, wait_received)

CONFIG = "[Delivery]\nToClients=balance\n"


def given_up(status):
    return sum(drop["messages"] for drop in status["toClients"]["dropped"])


def rest_of(client):
    """Whole messages until the end of the stream; part of one may stand at its end."""
    numbers = []
    try:
        while True:
            message = client.recv()
            if message is None:
                return numbers
            numbers.append(unstamp(message)[1])
    except ConnectionResetError:
        return numbers


def stop_reading(client):
    """It reads no more; what its kernel has already is all that it gets."""
    client.shut_read()
    return rest_of(client)


def listed(daemon, number):
    """ListClients of the client with this id."""
    return next(c for c in daemon.call("ListClients")["clients"] if c["id"] == number)


def wait_all_of(daemon, number, got):
    """Until the client with this id has taken all that was dealt to it, while nothing new comes."""
    harness.until(lambda: not listed(daemon, number)["queued"]["messages"], "no queue")
    got.wait_count(listed(daemon, number)["sent"]["messages"])


class Balance(harness.SystemTest):
    def linked_with(self, clients=2, config=""):
        upstream, daemon, session = self.linked(QUICK + CONFIG + config)
        made = []
        for count in range(clients):
            made.append(daemon.client())
            daemon.wait_clients(count + 1)
        return upstream, daemon, session, made

    def test_equals_are_served_in_turn(self):
        _, daemon, session, clients = self.linked_with(3)
        with BooksWatch(daemon):
            for number in range(30):
                session.send(*numbered(number, number + 1))
                wait_delivered(daemon, number + 1)
        seen = [numbers_of(client.recv_n(10)) for client in clients]
        self.assertEqual(sorted(seen), [list(range(k, 30, 3)) for k in range(3)])

    def test_each_message_comes_to_exactly_one_client_in_order(self):
        _, daemon, session, clients = self.linked_with(5)
        got = [client.collect() for client in clients]
        with BooksWatch(daemon):
            for at in range(0, 20_000, 500):
                session.send(*numbered(at, at + 500, 200))
            wait_delivered(daemon, 20_000)
            harness.until(lambda: sum(len(g.messages) for g in got) == 20_000, "all of them")
        seen = [numbers_of(g.messages) for g in got]
        for mine in seen:
            self.assertEqual(mine, sorted(mine))
            self.assertGreater(len(mine), 500)
        self.assertEqual(sorted(sum(seen, [])), list(range(20_000)))
        self.assertEqual(daemon.status()["toClients"]["dropped"], [])

    def test_who_hangs_gets_no_more_than_its_share_and_the_others_go_on(self):
        _, daemon, session, (hangs, reads) = self.linked_with()
        got, count = reads.collect(), 8000
        with BooksWatch(daemon):
            session.send(*numbered(0, count, 1024))
            status = wait_accepted(daemon, count)
            wait_all_of(daemon, 2, got)
            status = check_books(daemon.status())
        share = queued(status) + listed(daemon, 1)["sent"]["messages"]
        self.assertLessEqual(share, count // 2)
        self.assertGreater(share, 100)
        self.assertEqual(status["clients"], 2)
        more = len(got.messages)
        session.send(*numbered(count, count + 1))
        got.wait_count(more + 1)
        rest = numbers_of(hangs.recv_n(share))
        self.assertEqual(rest, sorted(rest))
        self.assertEqual(sorted(rest + numbers_of(got.messages)), list(range(count + 1)))

    def test_small_messages_wait_in_about_as_much_memory_as_they_have_bytes(self):
        _, daemon, session, clients = self.linked_with(3, "SlowClient=wait\n")
        count, burst = 900_000, b"\0\0\0\1x" * 20_000
        before = shared_memory(daemon.pid)
        for _ in range(0, count, 20_000):
            session.sock.sendall(burst)
        status = wait_accepted(daemon, count)
        self.assertEqual(status["toClients"]["dropped"], [])
        waiting = status["toClients"]["queued"]["bytes"]
        self.assertGreater(waiting, 2_000_000)
        self.assertLess(shared_memory(daemon.pid) - before, 2 * waiting)
        shares = [listed(daemon, n + 1)["queued"]["bytes"] for n in range(3)]
        self.assertLess(max(shares) - min(shares), 2 * 64 * 1024 + min(shares) // 16)
        for client in clients:
            client.close()

    def test_huge_and_empty_messages_are_dealt_whole(self):
        _, daemon, session, clients = self.linked_with(3)
        got, sizes = [client.collect() for client in clients], (0, 5_000_000, 64, 300_000, 20)
        for at in range(0, 40, 5):
            session.send(*[stamp(0, at + i, bytes(size)) for i, size in enumerate(sizes)])
        harness.until(lambda: sum(len(g.messages) for g in got) == 40, "all of them")
        self.assertEqual(sorted(sum((numbers_of(g.messages) for g in got), [])), list(range(40)))

    def check_returned(self, leave, reason, config="", clients=1):
        """One hangs and leaves; returns what the other one got of what came before that."""
        _, daemon, session, (hangs, reads) = self.linked_with(2, config)
        count = 6000
        with BooksWatch(daemon):
            session.send(*numbered(0, count, 1024))
            wait_accepted(daemon, count)
            got = reads.collect()
            wait_all_of(daemon, 2, got)
            own, one = len(got.messages), listed(daemon, 1)
            self.assertGreater(one["queued"]["messages"], 10)
            leave(daemon, hangs)
            of_one = one["sent"]["messages"]
            status = check_books(
                daemon.wait_status(lambda s: s["clients"] == clients and not queued(s), "no queue")
            )
            self.assertLessEqual(given_up(status), 1, "only what it had begun")
            self.assertEqual(dropped(status, "toClients", reason), given_up(status))
            got.wait_count(count - of_one - given_up(status))
        seen = numbers_of(got.messages)
        self.assertEqual(len(seen), len(set(seen)), "doubled")
        self.assertEqual(len(seen), count - of_one - given_up(status))
        self.assertEqual(seen[own:], sorted(seen[own:]), "not in order")
        session.send(*numbered(count, count + 1))
        got.wait(lambda m: unstamp(m[-1])[1] == count, "what comes later")
        return set(range(count)) - set(seen)

    def test_what_a_client_that_closes_had_not_begun_goes_to_the_other(self):
        self.check_returned(lambda _, hangs: hangs.close(), "client_gone")

    def test_what_a_client_that_stops_to_read_had_not_begun_goes_to_the_other(self):
        """No event tells of it: it is found out when something is to be written."""
        got = []
        missing = self.check_returned(lambda _, hangs: got.extend(stop_reading(hangs)),
                                      "client_gone", "ClientStallTimeout=60s\n", 2)
        self.assertLessEqual(set(got), missing)
        self.assertLessEqual(len(missing) - len(got), 1)

    @harness.in_time
    def test_what_a_client_that_is_disconnected_had_not_begun_goes_to_the_other(self):
        got = []

        def leave(daemon, hangs):
            daemon.wait_log("client 1 .* is disconnected: .*ClientStallTimeout=")
            got.extend(rest_of(hangs))

        missing = self.check_returned(leave, "queue_full", "ClientStallTimeout=3s\n")
        self.assertLessEqual(set(got), missing)
        self.assertLessEqual(len(missing) - len(got), 1)

    def test_what_a_program_that_is_killed_had_not_begun_goes_to_the_other(self):
        _, daemon, session = self.linked(CONFIG)
        program = self.spawn(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "recv", "--steal",
             "--raw"], stdout=subprocess.DEVNULL)
        daemon.wait_clients(1)
        program.send_signal(signal.SIGSTOP)
        session.send(*numbered(0, 3000, 1024))
        wait_accepted(daemon, 3000)
        of_one = listed(daemon, 1)["sent"]["messages"]
        with BooksWatch(daemon):
            got = daemon.client().collect()
            daemon.wait_clients(2)
            program.kill()
            daemon.wait_clients(1)
            status = daemon.wait_status(lambda s: not queued(s), "no queue")
            got.wait_count(3000 - of_one - given_up(status))
        self.assertLessEqual(given_up(status), 1)
        self.assertEqual(numbers_of(got.messages),
                         list(range(of_one + given_up(status), 3000)))

    def test_what_is_left_to_others_that_hang_too_comes_before_what_is_newer(self):
        for heirs in (1, 2):
            self.check_heirs(heirs)

    def check_heirs(self, heirs):
        _, daemon, session, (first,) = self.linked_with(1)
        session.send(*numbered(0, 2000, 1024))
        wait_accepted(daemon, 2000)
        others = [daemon.client() for _ in range(heirs)]
        daemon.wait_clients(heirs + 1)
        session.send(*numbered(2000, 5000, 1024))
        wait_accepted(daemon, 5000)
        with BooksWatch(daemon):
            sent = [listed(daemon, n + 1)["sent"]["messages"] for n in range(heirs + 1)]
            self.assertGreater(listed(daemon, 2)["queued"]["messages"], 300)
            first.close()
            status = check_books(daemon.wait_status(lambda s: s["clients"] == heirs, "one less"))
            seen = [numbers_of(other.recv_n(sent[n + 1] + listed(daemon, n + 2)["queued"]
                                            ["messages"])) for n, other in enumerate(others)]
        lost = sent[0] + given_up(status)
        self.assertLessEqual(given_up(status), 1)
        self.assertEqual(sorted(sum(seen, [])), list(range(lost, 5000)))
        for mine, begun in zip(seen, sent[1:]):
            later = mine[begun + 1 :]  # one may have been begun
            self.assertEqual(later, sorted(later), "not in order")
            self.assertLess(later[0], 2000)
            self.assertGreater(later[-1], 2000)

    def test_who_turns_out_to_be_deaf_costs_nothing_though_nothing_else_happens(self):
        """Each in its turn is dealt a message; neither heartbeats nor other clients wake ftcpd."""
        _, daemon, session = self.linked(
            "PathTimeout=0\nStallTimeout=0\n[Heartbeat]\nInterval=0\nTimeout=0\n" + CONFIG,
            heartbeat=None)
        for turn in range(6):
            clients = [deaf_client(daemon.data_path) for _ in range(turn % 3 + 1)]
            for client in clients:
                self.addCleanup(client.close)
            daemon.wait_clients(len(clients))
            reads = daemon.client()
            daemon.wait_clients(len(clients) + 1)
            clients += [deaf_client(daemon.data_path) for _ in range(turn // 3)]
            daemon.wait_clients(len(clients) + 1)
            wait_listed(daemon, lambda c: c["id"] == listed_ids(daemon)[-1]
                        and c["connectedUsec"] > 150_000, "them to be there")
            session.send(*numbered(8 * turn, 8 * turn + 8))
            self.assertEqual(sorted(numbers_of(reads.recv_n(8, 5 * SLOW))),
                             list(range(8 * turn, 8 * turn + 8)))
            for client in [reads] + clients:
                client.close()
            daemon.wait_clients(0)
        self.assertEqual(daemon.status()["toClients"]["dropped"], [])

    def test_what_the_last_one_leaves_is_held_for_the_next(self):
        upstream, daemon, session, (hangs,) = self.linked_with(1, "HoldSize=8M\n")
        session.send(*numbered(0, 3000, 1024))
        wait_received(daemon, 3000)
        hangs.recv_n(10)
        with BooksWatch(daemon):
            got = numbers_of([stamp(0, n) for n in range(10)]) + stop_reading(hangs)
            hangs.close()
            status = check_books(daemon.wait_status(lambda s: s["clients"] == 0, "it to be gone"))
            begun = given_up(status)
            self.assertLessEqual(begun, 1)
            self.assertEqual(got, list(range(len(got))))
            self.assertEqual(queued(status), 3000 - len(got) - begun)
            session.send(*numbered(3000, 3010))
            wait_received(daemon, 3010)
            new = daemon.client()
            self.assertEqual(numbers_of(new.recv_n(3010 - len(got) - begun)),
                             list(range(len(got) + begun, 3010)))

    def test_what_the_last_one_leaves_is_given_up_where_nothing_is_held(self):
        _, daemon, session, (hangs,) = self.linked_with(1)
        session.send(*numbered(0, 3000, 1024))
        wait_accepted(daemon, 3000)
        got = stop_reading(hangs)
        hangs.close()
        status = check_books(daemon.wait_status(lambda s: s["clients"] == 0, "it to be gone"))
        self.assertEqual(dropped(status, "toClients", "client_gone"), 3000 - len(got))
        self.assertEqual(queued(status), 0)

    def test_of_more_than_may_be_held_the_oldest_go(self):
        _, daemon, session, (hangs,) = self.linked_with(1, "HoldSize=100K\n")
        session.send(*numbered(0, 3000, 1024))
        wait_received(daemon, 3000)
        got = stop_reading(hangs)
        hangs.close()
        status = check_books(daemon.wait_status(lambda s: s["clients"] == 0, "it to be gone"))
        self.assertEqual(queued(status), 100)
        self.assertEqual(dropped(status, "toClients", "hold_full"),
                         2900 - len(got) - dropped(status, "toClients", "client_gone"))
        daemon.client().expect(*numbered(2900, 3000, 1024))

    def test_what_is_held_goes_to_one_client_whole(self):
        _, daemon, session = self.linked(CONFIG + "HoldSize=1M\n")
        session.send(*numbered(0, 100))
        wait_received(daemon, 100)
        first = daemon.client()
        daemon.wait_clients(1)
        second = daemon.client()
        first.expect(*numbered(0, 100))
        daemon.wait_clients(2)
        session.send(*numbered(100, 120))
        wait_delivered(daemon, 120)
        seen = numbers_of(first.recv_n(10)) + numbers_of(second.recv_n(10))
        self.assertEqual(sorted(seen), list(range(100, 120)))

    def test_who_was_dismissed_and_leaves_early_leaves_the_rest_to_who_came_after(self):
        upstream, daemon, session, (hangs,) = self.linked_with(1, "OnLinkLoss=disconnect\n")
        session.send(*numbered(0, 3000, 1024))
        wait_accepted(daemon, 3000)
        sent = listed(daemon, 1)["sent"]["messages"]
        session.close()
        session = upstream.accept()
        daemon.wait_state("up")
        new = daemon.client()
        daemon.wait_clients(2)
        session.send(*numbered(3000, 3001))
        new.expect(*numbered(3000, 3001))
        with BooksWatch(daemon):
            hangs.close()
            status = check_books(daemon.wait_status(lambda s: s["clients"] == 1, "it to be gone"))
            rest = numbers_of(new.recv_n(3000 - sent - given_up(status)))
        self.assertEqual(rest, list(range(sent + given_up(status), 3000)))

    def churn(self, config, count, gone, pace=0):
        """Clients come, read a while and stop to read, until all was sent and taken.

        Each message is at one client exactly, but for those that the books call `gone`.
        """
        _, daemon, session = self.linked(QUICK + CONFIG + config)
        seed = harness.seed()
        print("seed", seed)
        rng = random.Random(seed)
        seen, faults, done = [], [], threading.Event()
        lock = threading.Lock()

        def live(pace):
            try:
                while not done.is_set():
                    client, mine = harness.unix_connect(daemon.data_path), []
                    with client:
                        for _ in range(pace.randrange(400)):
                            try:
                                message = client.recv(timeout=0.2)
                            except TimeoutError:
                                break
                            if message is None:
                                break  # it was cut off
                            mine.append(unstamp(message)[1])
                            if pace.random() < 0.01:
                                time.sleep(pace.random() / 20)
                        mine += stop_reading(client)
                    with lock:
                        seen.append(mine)
            except Exception as error:  # pylint: disable=broad-except
                faults.append(error)

        lives = [threading.Thread(target=live, args=(random.Random(rng.random()),), daemon=True)
                 for _ in range(6)]
        with BooksWatch(daemon) as watch:
            for thread in lives:
                thread.start()
            for at in range(0, count, 200):
                session.send(*[stamp(0, n, bytes(harness.random_size(rng, 8000)))
                               for n in range(at, at + 200)])
                time.sleep(pace)
            daemon.wait_status(lambda s: s["upstream"]["received"]["messages"] == count
                               and not queued(s), "all to be settled", 60 * SLOW)
            done.set()
            for thread in lives:
                thread.join(harness.DEADLINE)
        self.assertEqual(faults, [])
        status = check_books(daemon.wait_status(lambda s: s["clients"] == 0, "nobody"))
        everything = sum(seen, [])
        lost = {reason: dropped(status, "toClients", reason) for reason in gone}
        print(f"{len(seen)} clients, {watch.looks} looks, given up: {lost}")
        self.assertEqual(len(everything), len(set(everything)), "doubled")
        self.assertEqual(status["toClients"]["delivered"]["messages"], len(everything))
        self.assertEqual(given_up(status), sum(lost.values()), status["toClients"])
        self.assertEqual(len(everything) + given_up(status), count)
        self.assertGreater(len(seen), 10)
        return status, seen

    def test_clients_come_and_go_under_load_and_each_message_is_at_one_of_them(self):
        status, seen = self.churn("HoldSize=64M\n", 12_000, ["client_gone"])
        # Only what was begun when somebody stopped to read: one a client at most.
        self.assertLessEqual(dropped(status, "toClients", "client_gone"), len(seen))

    def test_without_a_hold_what_is_lost_is_in_the_books(self):
        self.churn("", 12_000, ["client_gone", "no_client"])

    def test_while_all_wait_for_who_hangs_nothing_is_lost(self):
        self.churn("HoldSize=64M\nClientQueueSize=8K\nSlowClient=wait\n", 4000, ["client_gone"])

    def test_of_who_is_slow_the_oldest_are_dropped_and_the_books_know(self):
        self.churn("HoldSize=64M\nClientQueueSize=8K\nSlowClient=drop\n", 12_000,
                   ["client_gone", "queue_full"], 0.05)

    def test_who_is_too_slow_goes_and_leaves_the_rest_to_others(self):
        self.churn("HoldSize=64M\nClientQueueSize=8K\nSlowClientGrace=5ms\n", 6000,
                   ["client_gone", "queue_full"])

    def test_with_wait_the_upstream_feels_it_when_all_hang(self):
        _, daemon, session, clients = self.linked_with(
            3, "SlowClient=wait\nClientQueueSize=64K\n")
        sender = threading.Thread(target=session.send, args=numbered(0, 20_000, 1024), daemon=True)
        with BooksWatch(daemon):
            sender.start()
            daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
            stays(lambda: daemon.status()["upstream"]["paused"])
            got = [client.collect() for client in clients]
            harness.until(lambda: sum(len(g.messages) for g in got) == 20_000, "all of them")
        sender.join()
        seen = [numbers_of(g.messages) for g in got]
        self.assertEqual(sorted(sum(seen, [])), list(range(20_000)))
        self.assertTrue(all(mine == sorted(mine) for mine in seen))

    def test_with_drop_each_loses_its_oldest_when_all_hang(self):
        _, daemon, session, clients = self.linked_with(
            3, "SlowClient=drop\nClientQueueSize=64K\n")
        with BooksWatch(daemon):
            session.send(*numbered(0, 20_000, 1024))
            status = wait_accepted(daemon, 20_000, 64 * 1024)
        lost = dropped(status, "toClients", "queue_full")
        left = {n: listed(daemon, n) for n in (1, 2, 3)}
        self.assertEqual(sum(c["dropped"]["messages"] for c in left.values()), lost)
        seen = [numbers_of(client.recv_n(left[n + 1]["sent"]["messages"]
                                         + left[n + 1]["queued"]["messages"]))
                for n, client in enumerate(clients)]
        self.assertTrue(all(mine == sorted(mine) for mine in seen))
        self.assertEqual(len(set(sum(seen, []))) + lost, 20_000)
        self.assertGreater(min(mine[-1] for mine in seen), 19_000)
        self.assertIn(NOBODY_CHOSE, reasons(daemon))

    def test_with_disconnect_what_all_leave_who_hang_is_given_up_at_last(self):
        _, daemon, session, clients = self.linked_with(
            3, "ClientQueueSize=64K\nSlowClientGrace=100ms\n")
        sender = threading.Thread(target=session.send, args=numbered(0, 5000, 1024), daemon=True)
        with BooksWatch(daemon):
            sender.start()
            daemon.wait_clients(0)
            status = wait_received(daemon, 5000)
        seen = sum((rest_of(client) for client in clients), [])
        self.assertEqual(len(seen), len(set(seen)), "doubled")
        lost = {r: dropped(status, "toClients", r) for r in ("queue_full", "no_client")}
        self.assertEqual(len(seen) + sum(lost.values()), 5000)
        self.assertEqual(given_up(status), sum(lost.values()))

    def test_what_all_leave_who_hang_is_held(self):
        _, daemon, session, clients = self.linked_with(
            3, "ClientQueueSize=64K\nSlowClientGrace=100ms\nHoldSize=16M\n")
        session.send(*numbered(0, 5000, 1024))
        daemon.wait_clients(0)
        status = wait_received(daemon, 5000)
        seen = sum((rest_of(client) for client in clients), [])
        self.assertLessEqual(given_up(status), 3)
        daemon.reconfigure("[Delivery]\nSlowClientGrace=1min\n")
        rest = numbers_of(daemon.client().recv_n(5000 - len(seen) - given_up(status)))
        self.assertEqual(rest, sorted(rest), "not in order")
        self.assertEqual(len(set(seen + rest)) + given_up(status), 5000)


def listed_ids(daemon):
    return [c["id"] for c in daemon.call("ListClients")["clients"]]


class Reloaded(harness.SystemTest):
    """ToClients= and its neighbours after a reload."""

    def start(self, delivery):
        self.up, self.process, self.session = self.linked(f"[Delivery]\n{delivery}")

    def reload(self, delivery):
        self.process.configure(f"[Upstream]\nAddress={self.up.address}\n[Delivery]\n{delivery}")
        self.process.call("Reload")

    def test_to_and_fro_under_load_nothing_is_lost_or_doubled(self):
        self.start("")
        clients = [self.process.client() for _ in range(3)]
        self.process.wait_clients(3)
        got, count, turns = [client.collect() for client in clients], 0, 0

        def send():
            nonlocal count
            while count < 30_000 or turns < 5:
                self.session.send(*numbered(count, count + 50, 300))
                count += 50

        sender = threading.Thread(target=send, daemon=True)
        with BooksWatch(self.process):
            sender.start()
            while sender.is_alive():
                turns += 1
                self.reload(f"ToClients={('broadcast', 'balance')[turn_of(turns)]}\n")
            wait_received(self.process, count)
            self.process.wait_status(lambda s: not queued(s), "no queue")
        sent = self.process.status()["toClients"]["delivered"]["messages"]
        harness.until(lambda: sum(len(g.messages) for g in got) == sent, "all of them")
        times = [0] * count
        for mine in (numbers_of(g.messages) for g in got):
            self.assertEqual(mine, sorted(set(mine)), "doubled, or not in order")
            for number in mine:
                times[number] += 1
        self.assertEqual(set(times) - {1, 3}, set())
        print(f"{turns} reloads, {times.count(1)} messages dealt, {times.count(3)} for everybody")
        self.assertEqual(self.process.status()["toClients"]["dropped"], [])

    def test_what_one_that_hangs_has_stays_its_own(self):
        for modes in (("broadcast", "balance"), ("balance", "broadcast")):
            self.start(f"ToClients={modes[0]}\n")
            hangs = self.process.client()
            self.process.wait_clients(1)
            for turn in range(6):
                self.session.send(*numbered(1000 * turn, 1000 * turn + 1000, 1024))
                wait_accepted(self.process, 1000 * turn + 1000)
                self.reload(f"ToClients={modes[(turn + 1) % 2]}\n")
                check_books(self.process.status())
            hangs.expect(*numbered(0, 6000, 1024))
            self.session.send(*numbered(6000, 6001))
            hangs.expect(*numbered(6000, 6001))

    def test_what_was_for_everybody_goes_to_nobody_twice_when_one_leaves_later(self):
        self.start("")
        hangs, reads = self.process.client(), self.process.client()
        self.process.wait_clients(2)
        got = reads.collect()
        self.session.send(*numbered(0, 2000, 1024))
        got.wait_count(2000)
        self.reload("ToClients=balance\n")
        self.session.send(*numbered(2000, 4000, 1024))
        self.process.wait_status(lambda s: s["toClients"]["accepted"]["messages"] == 6000, "all")
        sent = self.process.call("ListClients")["clients"][0]["sent"]["messages"]
        with BooksWatch(self.process):
            hangs.close()
            status = self.process.wait_status(lambda s: not queued(s), "no queue")
        self.assertEqual(dropped(status, "toClients", "client_gone"), 2000 - sent)
        got.wait_count(4000)
        self.assertEqual(sorted(numbers_of(got.messages)), list(range(4000)))


def turn_of(turns):
    return turns % 2


class Steal(harness.SystemTest):
    """ftcpctl recv, where each message goes to one client only."""

    def recv(self, daemon, *args):
        return subprocess.Popen(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "recv", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_it_takes_nothing_from_others_unless_that_is_meant(self):
        _, daemon, session = self.linked(CONFIG)
        refused = self.recv(daemon, "-n", "1")
        out, err = refused.communicate(timeout=harness.DEADLINE)
        self.assertEqual((refused.returncode, out), (1, ""))
        self.assertIn("--steal", err)
        self.assertEqual(daemon.status()["clientsAccepted"], 0)
        thief = self.recv(daemon, "-n", "1", "--steal", "--lines")
        daemon.wait_clients(1)
        session.send(b"stolen")
        out, err = thief.communicate(timeout=harness.DEADLINE)
        self.assertEqual((thief.returncode, out, err), (0, "stolen\n", ""))

    def test_it_needs_no_permission_where_everybody_gets_everything(self):
        for option in ((), ("--steal",)):
            _, daemon, session = self.linked()
            reader = self.recv(daemon, "-n", "1", "--lines", *option)
            daemon.wait_clients(1)
            session.send(b"for all")
            out, _ = reader.communicate(timeout=harness.DEADLINE)
            self.assertEqual((reader.returncode, out), (0, "for all\n"))

    def test_it_refuses_after_a_reload_too(self):
        upstream, daemon, _ = self.linked()
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\n{CONFIG}")
        daemon.call("Reload")
        refused = self.recv(daemon, "-n", "1")
        refused.communicate(timeout=harness.DEADLINE)
        self.assertEqual(refused.returncode, 1)


if __name__ == "__main__":
    harness.main()

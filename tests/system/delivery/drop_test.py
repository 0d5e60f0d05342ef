# SPDX-License-Identifier: MIT
"""What the upstream sends is dropped for who is slow."""
import random
import threading
import time

import harness
from harness import stamp, unstamp
from local import NOBODY_CHOSE, BooksWatch, check_books, dropped, reasons, resident, wait_listed
from spreading import numbered, numbers_of, wait_accepted


class Drop(harness.SystemTest):
    """SlowClient=drop."""

    CONFIG = "[Delivery]\nSlowClient=drop\nClientQueueSize=64K\nClientStallTimeout=0\n"

    def linked_with(self, clients=2, config=""):
        _, daemon, session = self.linked(self.CONFIG + config)
        made = [daemon.client() for _ in range(clients)]
        daemon.wait_clients(clients)
        return daemon, session, made

    def pour(self, session, got, messages):
        """As fast as a client takes them that keeps up: never more than fits on its way."""
        before = len(got.messages)
        for at in range(0, len(messages), 20):
            session.send(*messages[at : at + 20])
            before += len(messages[at : at + 20])
            got.wait_count(before)

    def check_rest_of(self, daemon, client, last, status):
        """What a slow client reads at last: whole, in order, and with the books all there is."""
        seen = []
        while not seen or seen[-1] != last:
            seen.append(unstamp(client.recv())[1])
        self.assertEqual(seen, sorted(set(seen)), "doubled, or not in order")
        lost = dropped(status, "toClients", "queue_full")
        self.assertEqual(len(seen) + lost, last + 1, "the books disagree")
        return seen

    def test_who_hangs_in_the_middle_of_a_message_costs_the_memory_of_that_one(self):
        daemon, session, (hangs, reads) = self.linked_with()
        session.send(stamp(0, 0, bytes(1 << 20)))  # more than its socket takes
        got = reads.collect()
        got.wait_count(1)
        before = resident(daemon.pid)
        self.pour(session, got, numbered(1, 4001, 9000))
        self.assertEqual(numbers_of(got.messages), list(range(4001)))
        self.assertLess(resident(daemon.pid) - before, 16 << 20, "of 36 MB that it does not get")
        status = wait_accepted(daemon, 8002)
        self.assertEqual(dropped(status, "toClients", "queue_full"), 4000)
        self.assertEqual(unstamp(hangs.recv()), (0, 0))
        session.send(stamp(0, 4001))
        self.assertEqual(unstamp(hangs.recv()), (0, 4001))

    def test_who_hangs_loses_its_oldest_messages_and_nobody_waits_for_it(self):
        daemon, session, (hangs, reads) = self.linked_with()
        got = reads.collect()
        rng = random.Random(harness.seed())
        messages = [stamp(0, n, bytes(rng.randrange(3000))) for n in range(5000)]
        with BooksWatch(daemon):
            for at in range(0, 5000, 500):
                self.pour(session, got, messages[at : at + 500])
                self.assertFalse(daemon.status()["upstream"]["paused"])
            # The message that is begun counts whole, and so may be more than the limit.
            status = wait_accepted(daemon, 10_000, 64 * 1024 + 4096)
        self.assertEqual(numbers_of(got.messages), list(range(5000)))
        self.assertEqual(status["clients"], 2)
        self.assertEqual(status["health"], "warning")
        self.assertIn(NOBODY_CHOSE, reasons(daemon))
        lost = dropped(status, "toClients", "queue_full")
        self.assertGreater(lost, 1000)
        slow = wait_listed(daemon, lambda c: c["dropped"]["messages"], "the slow one")
        self.assertEqual(slow["dropped"], {"messages": lost, "bytes": next(
            d["bytes"] for d in status["toClients"]["dropped"] if d["reason"] == "queue_full")})
        self.assertEqual(slow["queued"]["messages"] + slow["sent"]["messages"] + lost, 5000)
        seen = self.check_rest_of(daemon, hangs, 4999, status)
        self.assertEqual(seen[: slow["sent"]["messages"]], list(range(slow["sent"]["messages"])))
        session.send(*numbered(5000, 5010))
        hangs.expect(*numbered(5000, 5010))

    def test_a_message_half_written_is_finished(self):
        daemon, session, (hangs, reads) = self.linked_with()
        got, count = reads.collect(), 2000
        big = stamp(0, 0, b"B" * 3_000_000)
        session.send(big)
        got.wait_count(1)
        self.pour(session, got, numbered(1, count, 1024))
        status = wait_accepted(daemon, 2 * count)
        self.assertGreater(dropped(status, "toClients", "queue_full"), 1000)
        hangs.expect(big)
        # Behind what was beyond the limit alone, nothing found a place; now there is one.
        session.send(*numbered(count, count + 10))
        self.assertEqual(numbers_of(hangs.recv_n(10)), list(range(count, count + 10)))

    def test_huge_messages_come_whole_or_not_at_all(self):
        daemon, session, (hangs, reads) = self.linked_with(config="ClientQueueSize=4K\n")
        got = reads.collect()
        with BooksWatch(daemon):
            for message in numbered(0, 40, 700_000):
                session.send(message)
                got.wait(lambda m: m and m[-1] == message, "it")
            daemon.wait_status(
                lambda s: dropped(s, "toClients", "queue_full") == 39, "all but the first to go"
            )
            hangs.expect(*numbered(0, 1, 700_000))
            session.send(*numbered(40, 41, 700_000))
            hangs.expect(*numbered(40, 41, 700_000))
        self.assertFalse(daemon.status()["upstream"]["paused"])

    def test_who_reads_in_fits_gets_whole_messages_in_order(self):
        daemon, session, clients = self.linked_with(4)
        seed = harness.seed()
        print("seed", seed)
        rng = random.Random(seed)
        count, seen = 6000, [[] for _ in clients]
        done = threading.Event()

        def read(client, mine, pace):
            while not mine or mine[-1] != count:
                mine.append(unstamp(client.recv())[1])
                if not done.is_set() and pace.random() < 0.02:
                    time.sleep(pace.random() / 20)

        threads = [
            threading.Thread(target=read, daemon=True,
                             args=(client, seen[i], random.Random(rng.random())))
            for i, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        with BooksWatch(daemon):
            for at in range(0, count, 100):
                session.send(*[
                    stamp(0, n, bytes(harness.random_size(rng, 40_000)))
                    for n in range(at, at + 100)
                ])
            done.set()
            session.send(*numbered(count, count + 1))
            for thread in threads:
                thread.join(harness.DEADLINE)
            self.assertTrue(all(mine and mine[-1] == count for mine in seen), "not all ended")
        status = wait_accepted(daemon, 4 * (count + 1))
        for mine in seen:
            self.assertEqual(mine, sorted(set(mine)))
        self.assertEqual(sum(map(len, seen)) + dropped(status, "toClients", "queue_full"),
                         4 * (count + 1))
        listed = {c["id"]: c["dropped"]["messages"] for c in daemon.call("ListClients")["clients"]}
        self.assertEqual([listed[i + 1] for i in range(4)],
                         [count + 1 - len(mine) for mine in seen])

    def test_who_takes_no_byte_for_long_is_disconnected_all_the_same(self):
        daemon, session, (hangs, reads) = self.linked_with()
        got = reads.collect()
        self.pour(session, got, numbered(0, 2000, 1024))
        wait_accepted(daemon, 4000)
        daemon.reconfigure("[Delivery]\nClientStallTimeout=500ms\n")
        daemon.wait_log("client 1 .* is disconnected: .*ClientStallTimeout=")
        status = check_books(daemon.wait_status(lambda s: s["clients"] == 1, "it to be gone"))
        got_of_it = 0
        while hangs.recv() is not None:
            got_of_it += 1
        self.assertEqual(got_of_it + dropped(status, "toClients", "queue_full"), 2000)

    def test_alone_it_does_not_stop_the_upstream_either(self):
        daemon, session, (hangs,) = self.linked_with(1, "ClientQueueSize=2M\n")
        with BooksWatch(daemon):
            session.send(*numbered(0, 20_000, 1024))  # returns when the last is on its way
            status = wait_accepted(daemon, 20_000, 2 << 20)
        self.check_rest_of(daemon, hangs, 19_999, status)


if __name__ == "__main__":
    harness.main()

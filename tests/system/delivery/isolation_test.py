# SPDX-License-Identifier: MIT
"""One client that misbehaves is its own misfortune. What it costs is measured in tests/bench."""
import threading

import harness
from harness import SLOW
from local import BooksWatch, check_books, cpu_seconds, dropped, wait_listed
from spreading import numbered, numbers_of


class Isolation(harness.SystemTest):
    def test_of_many_clients_one_that_hangs_costs_no_other_a_message(self):
        for policy in ("disconnect\nSlowClientGrace=300ms", "drop"):
            _, daemon, session = self.linked(
                f"[Delivery]\nClientQueueSize=256K\nSlowClient={policy}\n"
            )
            hangs = daemon.client()
            got = [daemon.client().collect() for _ in range(59)]
            daemon.wait_clients(60)
            with BooksWatch(daemon):
                for at in range(0, 2000, 50):
                    session.send(*numbered(at, at + 50, 1000))
                    for one in got:
                        one.wait_count(at + 50)
            for one in got:
                self.assertEqual(numbers_of(one.messages), list(range(2000)))
            status = check_books(daemon.status())
            self.assertGreater(dropped(status, "toClients", "queue_full"), 200)
            self.assertEqual(status["clients"], 60 if policy == "drop" else 59)
            hangs.close()

    def test_a_flood_that_never_ends_keeps_no_other_from_question_and_answer(self):
        _, daemon, session = self.linked()
        floods, shy, done = daemon.client(), daemon.client(), threading.Event()
        floods.shut_read()
        daemon.wait_clients(2)

        def pour():
            while not done.is_set():
                floods.send(*[b"F" * 4000] * 50)

        def answer():
            try:
                while (message := session.recv()) is not None:
                    if message.startswith(b"question"):
                        session.send(b"answer" + message[8:])
            except OSError:
                pass  # the test is over

        threads = [threading.Thread(target=run, daemon=True) for run in (pour, answer)]
        for thread in threads:
            thread.start()
        daemon.wait_status(lambda s: s["upstream"]["sent"]["messages"] > 1000, "the flood")
        for number in range(10):
            shy.send(b"question %d" % number)
            shy.expect(b"answer %d" % number)
        self.assertTrue(threads[0].is_alive())
        done.set()
        threads[0].join(harness.DEADLINE)

    @harness.in_time
    def test_what_a_dripped_byte_costs_does_not_grow_with_what_came_before(self):
        """Between two bytes another client sends a message, so that the turn goes to and fro."""
        _, daemon, session = self.linked("[Frame]\nMaxMessageSize=16M\n")
        drips, other = daemon.client(), daemon.client()
        size, count = 15_000_000, 400
        drips.send_raw((size + 2 * count + 1).to_bytes(4, "big"))

        def cost():
            begin = cpu_seconds(daemon.pid)
            for number in range(count):
                drips.send_raw(b".")
                other.send(b"%d" % number)
                session.expect(b"%d" % number)
            return cpu_seconds(daemon.pid) - begin

        first = cost()
        drips.send_raw(bytes(size))
        wait_listed(
            daemon, lambda c: c.get("partial")
            and c["partial"]["receivedBytes"] >= 4 + size + count, "all but the last bytes"
        )
        last = cost()
        print(f"{count} bytes cost {first:.3f} s at first, {last:.3f} s behind {size} others")
        self.assertLess(last, 10 * first + 0.2 * SLOW)  # copying it all each time takes seconds
        drips.send_raw(b".")
        self.assertEqual(len(session.recv()), size + 2 * count + 1)


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""The next process goes on where the last one stood: connection, clients, queues, books."""
import random
import threading

import harness
from harness import stamp, unstamp
from manager import ManagedTest

CONFIG = "[Delivery]\nSlowClient=wait\n"


class Crash(ManagedTest):
    def test_nobody_notices_a_crash_of_an_idle_daemon(self):
        upstream, daemon, session = self.linked(CONFIG)
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.crash()
        session.send(b"down")
        client.expect(b"down")
        client.send(b"up")
        session.expect(b"up")
        status = daemon.status()
        self.assertEqual(status["upstream"]["connects"], 1)
        self.assertEqual(status["upstream"]["disconnects"], 0)
        self.assertEqual(status["clientsAccepted"], 1)
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], 1)
        self.assertEqual(daemon.kept(),
                         ["bag-0", "bag-1", "bag-2", "bag-3", "state", "upstream-1"])

    def test_crashes_under_full_load_lose_double_tear_and_reorder_nothing(self):
        rng = random.Random(number := harness.seed())
        print("seed", number)
        self.storm(rng, 30, lambda daemon: daemon.crash())

    def storm(self, rng, times, interrupt):
        """Numbered messages both ways at full rate, while the daemon is interrupted again and again."""
        _, daemon, session = self.linked(CONFIG)
        clients = [daemon.client() for _ in range(4)]
        daemon.wait_clients(4)
        done, sent = threading.Event(), [0] * len(clients)
        downs = [client.collect() for client in clients]
        ups = session.collect()

        def speak(i):
            own = random.Random(i)
            while not done.is_set():
                try:
                    clients[i].send(stamp(i, sent[i], own.randbytes(own.choice((0, 10, 1000, 70000)))))
                except OSError:
                    return
                sent[i] += 1

        def feed():
            own = random.Random(99)
            while not done.is_set():
                session.send(stamp(100, self.fed, own.randbytes(own.choice((0, 10, 1000, 70000)))))
                self.fed += 1

        self.fed = 0
        threads = [threading.Thread(target=speak, args=(i,)) for i in range(len(clients))]
        threads.append(threading.Thread(target=feed))
        for thread in threads:
            thread.start()
        try:
            for _ in range(times):
                done.wait(rng.random() * 0.3)
                interrupt(daemon)
        finally:
            done.set()
            for thread in threads:
                thread.join(harness.DEADLINE)
        self.judge(daemon, ups, downs, sent)

    def judge(self, daemon, ups, downs, sent):
        status = daemon.wait_status(
            lambda s: s["toUpstream"]["queued"]["messages"] == s["toClients"]["queued"]["messages"] == 0,
            "everything to be delivered")
        self.assertEqual(status["upstream"]["disconnects"], 0)
        lost = len(downs) - status["clients"]
        print("dropped clients", lost, "messages up", sum(sent), "down", self.fed)
        seen = [[] for _ in sent]
        for message in ups.messages:
            sender, number = unstamp(message)
            seen[sender].append(number)
        for i, numbers in enumerate(seen):
            self.assertEqual(numbers, list(range(len(numbers))))
            if not downs[i].ended:
                self.assertEqual(len(numbers), sent[i])
        for down in downs:
            numbers = [unstamp(m)[1] for m in down.messages]
            self.assertEqual(numbers, list(range(len(numbers))))
            if not down.ended:
                self.assertEqual(len(numbers), self.fed)


harness.main()

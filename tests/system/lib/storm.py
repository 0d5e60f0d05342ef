# SPDX-License-Identifier: MIT
"""Numbered messages both ways at full rate, while the daemon is interrupted again and again."""
import threading

import harness
from harness import stamp, unstamp

CONFIG = "[Delivery]\nSlowClient=wait\n"


def body(number):
    """Some hundred bytes, now and then far more."""
    return bytes((0, 10, 1000, 70000, 300)[number * 7 % 5])


class Storm:
    """For a SystemTest."""

    def storm(self, rng, times, interrupt):
        """Returns how many clients were disconnected; each comes again, with a new number."""
        _, daemon, session = self.linked(CONFIG)
        self.lock, self.sent, self.downs, self.fed = threading.Lock(), [], [], 0
        done = threading.Event()
        ups = session.collect()
        threads = [threading.Thread(target=self.speak, args=(daemon, done)) for _ in range(4)]
        threads.append(threading.Thread(target=self.feed, args=(session, done)))
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
        return self.judge(daemon, ups)

    def speak(self, daemon, done):
        while not done.is_set():
            client = daemon.client()
            with self.lock:
                number = len(self.sent)
                self.sent.append(0)
                self.downs.append(client.collect())
            try:
                while not done.is_set():
                    client.send(stamp(number, self.sent[number], body(number)))
                    self.sent[number] += 1
            except OSError:
                pass

    def feed(self, session, done):
        while not done.is_set():
            session.send(stamp(1 << 20, self.fed, body(self.fed)))
            self.fed += 1

    def judge(self, daemon, ups):
        status = daemon.wait_status(
            lambda s: s["toUpstream"]["queued"]["messages"] == 0
            and s["toClients"]["queued"]["messages"] == 0,
            "everything to be delivered",
        )
        self.assertEqual(status["upstream"]["disconnects"], 0)
        ended = len([down for down in self.downs if down.ended])
        print(f"{len(self.sent)} clients, {ended} of them disconnected;",
              f"messages: {sum(self.sent)} up, {self.fed} down")
        ups.wait_count(status["toUpstream"]["delivered"]["messages"])
        seen = [[] for _ in self.sent]
        for message in ups.messages:
            sender, number = unstamp(message)
            seen[sender].append(number)
        for sent, numbers, down in zip(self.sent, seen, self.downs):
            self.assertEqual(numbers, list(range(len(numbers))))
            if not down.ended:
                self.assertEqual(len(numbers), sent)
            got = [unstamp(m)[1] for m in down.messages]
            self.assertEqual(got, list(range(got[0], got[0] + len(got))) if got else [])
            if not down.ended:
                down.wait(lambda m: unstamp(m[-1])[1] == self.fed - 1, "the last message")
        return ended

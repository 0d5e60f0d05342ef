# SPDX-License-Identifier: MIT
"""Many clients are lent the memory that messages stand in: it says the same whenever they read."""
import harness
from harness import stamp, unstamp
from manager import ManagedTest

QUICK = LATE = 4
BODY = bytes(3000)
EARLY, LATER = 40, 8000


def all_sent(status):
    return status["toClients"]["queued"]["messages"] == 0


class Lent(ManagedTest):
    def some_read_late(self, crash):
        _, daemon, session = self.linked("[Delivery]\nSlowClient=drop\nClientQueueSize=1M\n")
        clients = [daemon.client() for _ in range(QUICK + LATE)]
        daemon.wait_clients(len(clients))
        session.send(stamp(0, 0))  # each takes something
        daemon.wait_status(all_sent, "one to each")
        daemon.freeze()
        session.send(*[stamp(0, n, BODY) for n in range(1, EARLY)])
        daemon.thaw()  # so that they come at once
        for client in clients[:QUICK]:
            self.assertEqual([unstamp(m)[1] for m in client.recv_n(EARLY)], list(range(EARLY)))
        if crash:
            daemon.wait_status(all_sent, "no send to be under way")
            daemon.crash()
        quick = [client.collect() for client in clients[:QUICK]]
        for n in range(EARLY, LATER):
            session.send(stamp(0, n, BODY))
        for one in quick:
            one.wait(lambda got: got and unstamp(got[-1])[1] == LATER - 1, "the last message")
        for client in clients[QUICK:]:
            numbers = [unstamp(client.recv())[1]]
            while numbers[-1] < LATER - 1:
                numbers.append(unstamp(client.recv())[1])
            self.assertEqual(numbers[:EARLY], list(range(EARLY)))
            self.assertLess(len(numbers), LATER)

    def test_who_reads_late_gets_what_was_sent(self):
        self.some_read_late(crash=False)

    def test_who_reads_late_gets_what_was_sent_before_a_crash(self):
        self.some_read_late(crash=True)


if __name__ == "__main__":
    harness.main()

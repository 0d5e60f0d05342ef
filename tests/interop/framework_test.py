#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""ftcpd between programs that others wrote: Erlang's {packet,4} and Twisted's receivers.

Each program sends messages of random sizes and bytes; what every other one received is compared
by size and checksum, message by message.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness
from peer import Peer

COUNT = 60
MIB = 1024 * 1024

# Empty messages are the application's here, and nobody is in a hurry.
CONFIG = """
[Upstream]
Address={address}
[Heartbeat]
Interval=0
Timeout=0
[Delivery]
SlowClient=wait
"""


class Framework(harness.SystemTest):
    def assert_merged(self, received, *senders):
        """received holds the messages of every sender, each sender's in their order, no others.

        Equal messages may be anybody's, so every way to explain what came so far is kept.
        """
        ways = {(0,) * len(senders)}
        for number, message in enumerate(received):
            ways = {
                way[:i] + (way[i] + 1,) + way[i + 1 :]
                for way in ways
                for i, sent in enumerate(senders)
                if way[i] < len(sent) and sent[way[i]] == message
            }
            self.assertTrue(ways, f"message {number} {message} is nobody's next one")
        self.assertIn(tuple(len(sent) for sent in senders), ways, "messages are missing")

    def exchange(self, upstream_kind, client_kinds, biggest, config=""):
        n = len(client_kinds)
        upstream = Peer(self, upstream_kind, "upstream", COUNT, COUNT * n, biggest)
        daemon = self.daemon(CONFIG.format(address=upstream.address()) + config)
        clients = [
            Peer(self, kind, "client", COUNT, COUNT, biggest, daemon.data_path)
            for kind in client_kinds
        ]
        daemon.wait_state("up")
        daemon.wait_clients(n)
        for peer in (*clients, upstream):
            peer.start()
        for peer in (upstream, *clients):
            peer.wait("done")
        for client in clients:
            self.assertEqual(client.received, upstream.sent, client.name)
        self.assert_merged(upstream.received, *(client.sent for client in clients))
        self.check_books(daemon, upstream, clients)

    def check_books(self, daemon, upstream, clients):
        status = daemon.wait_status(
            lambda s: s["toUpstream"]["queued"]["messages"] == 0, "everything to be acknowledged"
        )
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], COUNT * len(clients))
        self.assertEqual(status["toClients"]["delivered"]["messages"], COUNT * len(clients))
        self.assertEqual(status["upstream"]["received"]["messages"], len(upstream.sent))
        self.assertEqual(status["toUpstream"]["dropped"], [])
        self.assertEqual(status["toClients"]["dropped"], [])
        self.assertEqual(status["upstream"]["connects"], 1)

    def test_an_erlang_upstream_with_erlang_and_twisted_clients(self):
        self.exchange("erlang", ["erlang", "twisted"], MIB)

    def test_a_twisted_upstream_with_twisted_and_erlang_clients(self):
        self.exchange("twisted", ["twisted", "erlang"], MIB)

    def test_twisted_lines_on_both_sides_of_a_delimiter(self):
        frame = "[Frame]\nType=delimiter\nDelimiter=\\r\\n\n"
        self.exchange("lines", ["lines", "lines"], 256 * 1024, frame)


if __name__ == "__main__":
    harness.main()

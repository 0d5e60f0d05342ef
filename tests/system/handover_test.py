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


harness.main()

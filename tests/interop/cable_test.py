#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The cable between ftcpd and its upstream is pulled: no FIN, no RST, nothing arrives any more.

It is noticed in time, by the heartbeat or by the path alone, idle and under load; after the cable
is back, the link heals by itself and nothing that was accepted is lost.
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system", "lib"))

import harness
from cable import Cable
from framed import Collector

# What a busy machine may add to a timer.
SLACK = 1.0 * harness.SLOW

UPSTREAM = """
[Upstream]
Address={address}
ConnectTimeout=1s
ReconnectDelay=200ms
ReconnectDelayMax=500ms
StallTimeout=0
"""
HEARTBEAT = UPSTREAM + "PathTimeout=0\n[Heartbeat]\nTimeout=3s\n"
PATH = UPSTREAM + "PathTimeout=3s\n[Heartbeat]\nTimeout=0\n"


class Sender:
    """Sends stamped messages, some 10 MiB/s, in a thread, until stopped or cut off."""

    def __init__(self, framed, sender, first=0):
        self.framed, self.sender, self.next = framed, sender, first
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while self._going:
                body = bytes(200000 if self.next % 500 == 499 else self.next % 3000)
                self.framed.send(harness.stamp(self.sender, self.next, body))
                self.next += 1
                if self.next % 10 == 0:
                    time.sleep(0.001)
        except OSError:
            pass

    def stop(self):
        """Returns the number after the last message that was sent whole."""
        self._going = False
        self._thread.join(harness.DEADLINE)
        return self.next

    def cut_off(self):
        """stop() for a connection that is dead, where sending may block."""
        try:
            self.framed.shut_write()
        except OSError:
            pass
        return self.stop()


class CablePull(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.cable = Cable()
        self.addCleanup(self.cable.close)

    def start(self, config):
        """A link from the near end to the far one, and a client."""
        with self.cable.far:
            self.listener = self.upstream(host=self.cable.far.address)
        daemon = self.daemon(
            config.format(address=self.listener.address), within=self.cable.near
        )
        session = self.listener.accept()
        daemon.wait_state("up")
        client = daemon.client()
        daemon.wait_clients(1)
        return daemon, session, client

    def notice(self, daemon, cause):
        """Pulls the cable; returns how long it took until the link was not up any more."""
        self.cable.pull()
        start = time.monotonic()
        status = daemon.wait_status(
            lambda s: s["upstream"]["state"] != "up", "the dead link to be noticed", 3 + 5 * SLACK
        )
        took = time.monotonic() - start
        self.assertEqual(status["upstream"]["lastCause"], cause)
        self.assertGreater(took, 1.5, "noticed before it can be known")
        self.assertLess(took, 3 + SLACK, "noticed too late")
        return took

    def check_idle(self, config, cause):
        daemon, session, client = self.start(config)
        session.send(b"before")
        client.expect(b"before")
        self.notice(daemon, cause)
        client.send(b"while it was down")
        self.cable.plug()
        session = self.listener.accept()
        session.expect(b"while it was down")
        session.send(b"after")
        client.expect(b"after")
        status = daemon.wait_state("up")
        self.assertEqual(status["upstream"]["disconnects"], 1)

    def check_load(self, config, cause):
        daemon, session, client = self.start(config)
        far, near = [session.collect()], client.collect()
        down, up = Sender(session, 1), Sender(client, 2)
        far[0].wait_count(1000)
        near.wait_count(1000)
        self.notice(daemon, cause)
        self.cable.plug()
        session = self.listener.accept()
        first_again = down.cut_off()
        far.append(Collector(session))
        down = Sender(session, 1, first_again)
        far[1].wait_count(1000)
        last = up.stop()
        far[1].wait(
            lambda messages: messages and harness.unstamp(messages[-1]) == (2, last - 1),
            "the client's last message",
            3 * harness.DEADLINE,
        )
        last_down = down.stop()
        near.wait(
            lambda messages: messages and harness.unstamp(messages[-1]) == (1, last_down - 1),
            "the upstream's last message",
            3 * harness.DEADLINE,
        )
        self.check_upwards([collector.messages for collector in far], last)
        self.check_downwards(near.messages, first_again, last_down)

    def check_upwards(self, connections, last):
        """On each connection whole messages without a gap; the second begins with what the first
        did not deliver, or before; in the end all are there."""
        numbers = [[harness.unstamp(m)[1] for m in messages] for messages in connections]
        self.assertEqual(numbers[0], list(range(len(numbers[0]))))
        again = numbers[1][0]
        self.assertLessEqual(again, len(numbers[0]), "messages were lost")
        self.assertEqual(numbers[1], list(range(again, last)))

    def check_downwards(self, messages, first_again, last):
        """The client sees what arrived of the first connection, without a gap, then the second."""
        numbers = [harness.unstamp(message)[1] for message in messages]
        cut = next(i for i, number in enumerate(numbers) if number == first_again)
        self.assertEqual(numbers[:cut], list(range(cut)))
        self.assertEqual(numbers[cut:], list(range(first_again, last)))

    @harness.in_time
    def test_across_a_network_the_host_says_how_congestion_is_avoided(self):
        harness.need("ss", "sysctl")
        self.start("[Upstream]\nAddress={address}\n")
        port = self.listener.address.rpartition(":")[2]
        shown = self.cable.near.run("ss", "-Htni", "dport", "=", f":{port}")
        rule = self.cable.near.run("sysctl", "-n", "net.ipv4.tcp_congestion_control").strip()
        self.assertIn(f" {rule} ", shown)

    def test_an_idle_link_is_known_dead_by_its_heartbeat(self):
        self.check_idle(HEARTBEAT, "silent")

    @harness.in_time
    def test_an_idle_link_is_known_dead_by_its_path(self):
        self.check_idle(PATH, "path")

    @harness.in_time
    def test_a_busy_link_is_known_dead_by_its_heartbeat_and_loses_nothing(self):
        self.check_load(HEARTBEAT, "silent")

    @harness.in_time
    def test_a_busy_link_is_known_dead_by_its_path_and_loses_nothing(self):
        self.check_load(PATH, "path")


if __name__ == "__main__":
    harness.main()

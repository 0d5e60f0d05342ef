# SPDX-License-Identifier: MIT
"""Data waits and the peer takes none: from when on the time counts, and whom the reason blames."""
import socket
import time

import harness
from cable import Cable

TOOK_NONE = r"^data waits and the peer took none for \d.* \(StallTimeout=\): "
QUICK = "[Upstream]\nAddress={address}\nReconnectDelay=50ms\nReconnectDelayMax=100ms\n"


class Clock(harness.SystemTest):
    def test_an_idle_time_is_no_part_of_a_stall(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nStallTimeout=500ms\n"
            "[Heartbeat]\nInterval=0\nTimeout=0\n[Frame]\nTimeout=10ms\n",
            # The link is judged every 10 ms, in the pass in which the message is read.
            env={
                "LD_PRELOAD": self.preload("late_wake.c"),
                "ASAN_OPTIONS": "verify_asan_link_order=0",
            },
        )
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        for number in range(3):
            time.sleep(0.6)  # nothing waits, for longer than a stall may last
            client.send(harness.stamp(1, number))
            session.expect(harness.stamp(1, number))
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)


    def test_a_value_that_a_reload_sets_counts_as_it_stands_for_a_peer_that_speaks(self):
        upstream = self.upstream(heartbeat=0.05)
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
        upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        client.send(*[bytes(20000)] * 50)
        daemon.wait_status(lambda s: (s["toUpstream"]["oldestUsec"] or 0) > 600000, "it to wait")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)
        daemon.reconfigure("[Upstream]\nStallTimeout=500ms\n")
        status = daemon.wait_status(lambda s: s["upstream"]["disconnects"], "the stall to be seen")
        self.assertRegex(status["upstream"]["lastError"], TOOK_NONE + "its kernel lives")


class Blame(harness.SystemTest):
    """Across a cable between two network namespaces."""

    def setUp(self):
        super().setUp()
        self.cable = Cable()
        self.addCleanup(self.cable.close)

    def start(self, config, heartbeat=None):
        with self.cable.far:
            upstream = self.upstream(host=self.cable.far.address, heartbeat=heartbeat)
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(
            QUICK.format(address=upstream.address) + config, within=self.cable.near
        )
        session = upstream.accept()
        daemon.wait_state("up")
        return daemon, session, daemon.client()

    def check_loss(self, daemon, cause, reason):
        status = daemon.wait_status(lambda s: s["upstream"]["disconnects"], "the stall to be seen")
        self.assertEqual(status["upstream"]["lastCause"], cause)
        self.assertRegex(status["upstream"]["lastError"], reason)

    def test_a_path_that_takes_small_packets_only_is_not_the_programs_fault(self):
        daemon, session, client = self.start(
            "StallTimeout=2s\n[Heartbeat]\nTimeout=0\n", heartbeat=0.1
        )
        self.cable.narrow(1000)
        client.send(b"small")
        session.expect(b"small")
        client.send(bytes(4000))
        self.check_loss(daemon, "stalled", TOOK_NONE + "the path takes small packets and no .*MTU")

    def test_a_program_that_does_not_read_is_blamed_across_a_network_too(self):
        daemon, _, client = self.start("StallTimeout=2s\n[Heartbeat]\nTimeout=0\n")
        client.send(*[bytes(20000)] * 50)
        self.check_loss(daemon, "stalled", TOOK_NONE + "its kernel lives, its program does not read")

    def test_a_path_that_dies_behind_a_closed_window_is_the_paths_fault(self):
        harness.need("ss")
        daemon, _, client = self.start("StallTimeout=5s\n[Heartbeat]\nTimeout=0\n")
        client.send(*[bytes(20000)] * 50)
        harness.until(lambda: self.is_probed(daemon), "a probe of the closed window")
        self.cable.pull()
        self.check_loss(
            daemon, "path", TOOK_NONE + r"neither a byte nor an acknowledgement for \d"
        )

    def is_probed(self, daemon):
        """Nothing is under way, and the kernel waits with its timer for the window to open."""
        port = daemon.status()["upstream"]["address"].rpartition(":")[2]
        return "timer:(persist," in self.cable.near.run("ss", "-Htno", "dport", "=", f":{port}")

    def test_a_silent_peer_whose_kernel_is_silent_too_has_no_habit_of_it(self):
        daemon, _, _ = self.start("[Heartbeat]\nInterval=200ms\nTimeout=2s\n", heartbeat=0.1)
        self.cable.pull()
        self.check_loss(daemon, "silent", r"^no byte for \d.*, nor an acknowledgement for \d.*: its ")

    def test_a_dead_path_is_the_paths_fault_without_path_timeout_too(self):
        daemon, session, client = self.start(
            "PathTimeout=0\nStallTimeout=1s\n[Heartbeat]\nTimeout=0\n"
        )
        client.send(b"before")
        session.expect(b"before")
        self.cable.pull()
        client.send(bytes(4000))
        self.check_loss(
            daemon, "path", TOOK_NONE + r"neither a byte nor an acknowledgement for \d"
        )


if __name__ == "__main__":
    harness.main()

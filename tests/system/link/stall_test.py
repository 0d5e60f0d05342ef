# SPDX-License-Identifier: MIT
"""Data waits and the peer takes none: from when on the time counts, and whom the reason blames."""
import time

import harness


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


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""A crowd at the control socket: it is for everybody, so nobody may have it alone."""
import sys

import harness
from framed import until

# Holds so many connections until its standard input ends.
HOLD = """
import socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[2]))]
for one in held:
    one.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


class Crowd(harness.SystemTest):
    def hold(self, daemon, count):
        process = self.spawn(
            [sys.executable, "-c", HOLD, daemon.control_path, str(count)],
            stdin=-1,
            stdout=-1,
            user=65534,
            cwd="/",
        )
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"held\n")

    def test_a_user_who_takes_every_place_does_not_shut_out_another(self):
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be two users")
        _, daemon, _ = self.linked("[Control]\nMaxClients=8\n")
        harness.os.chmod(daemon.directory, 0o755)
        self.hold(daemon, 40)
        daemon.wait_log("control: 8 clients are connected")
        for _ in range(20):
            self.assertEqual(daemon.status()["upstream"]["state"], "up")
        mine = [harness.Varlink(daemon.control_path) for _ in range(3)]
        for one in mine:
            self.addCleanup(one.close)
            self.assertEqual(one.call("io.ftcpd.Health")["health"], "ok")
        # Who has no more than half of them keeps what it has.
        self.hold(daemon, 40)
        for one in mine:
            self.assertEqual(one.call("io.ftcpd.Health")["health"], "ok")
        self.assertEqual(daemon.log.count("no more are served"), 1)

    def served(self, daemon):
        """A connection that was answered, or None: one that has just ended may still be counted."""
        one = harness.Varlink(daemon.control_path)
        self.addCleanup(one.close)
        try:
            one.call("io.ftcpd.Health")
            return one
        except OSError:
            return None

    def test_one_more_of_the_same_user_is_closed_at_once(self):
        _, daemon, _ = self.linked("[Control]\nMaxClients=2\n")
        first, _ = until(lambda: self.served(daemon), "a place"), until(
            lambda: self.served(daemon), "another place"
        )
        third = harness.Varlink(daemon.control_path)
        self.addCleanup(third.close)
        self.assertIsNone(third.recv())
        self.assertEqual(first.call("io.ftcpd.Health")["health"], "ok")


if __name__ == "__main__":
    harness.main()

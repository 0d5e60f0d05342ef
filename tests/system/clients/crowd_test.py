# SPDX-License-Identifier: MIT
"""A crowd at the control socket: it is for everybody, so nobody may have it alone."""
import shutil
import sys

import harness
import hostile
from framed import until

# Holds so many connections until its standard input ends, of which so many follow events; for each
# line there it says how many of both were ended.
HOLD = """
import select, socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[2]))]
follow = held[:int(sys.argv[3])]
for one in held:
    one.connect(sys.argv[1])
for one in follow:
    one.sendall(b'{"method":"io.ftcpd.Monitor","more":true,"parameters":{"history":1}}\\0')
    one.recv(65536)
print("held", flush=True)
for _ in sys.stdin:
    ended = [one for one in held if select.select([one], [], [], 0)[0]]
    print(len(ended), sum(one in follow for one in ended), flush=True)
"""


class Crowd(harness.SystemTest):
    def hold(self, daemon, count, user=65534, following=0):
        process = self.spawn(
            [sys.executable, "-c", HOLD, daemon.control_path, str(count), str(following)],
            stdin=-1,
            stdout=-1,
            user=user,
            cwd="/",
        )
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"held\n")
        return process

    def ended(self, process):
        """Of the connections of this process: (how many were ended, how many that follow)."""
        process.stdin.write(b"\n")
        process.stdin.flush()
        return tuple(map(int, process.stdout.readline().split()))

    def wait_ended(self, wanted, *crowd):
        until(lambda: [self.ended(one) for one in crowd] == wanted, f"{wanted} to be ended")

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

    def test_users_who_take_every_place_together_do_not_shut_out_who_steers(self):
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be several users")
        _, daemon, _ = self.linked("[Control]\nMaxClients=9\nAdmin=65532\n")
        harness.os.chmod(daemon.directory, 0o755)
        crowd = [self.hold(daemon, 5, 65534, 2), self.hold(daemon, 4, 65533, 4)]
        mine = [harness.Varlink(daemon.control_path) for _ in range(3)]
        for one in mine:
            self.addCleanup(one.close)
            self.assertEqual(one.call("io.ftcpd.Health")["health"], "ok")
        # Who has most gave way, and of it who did nothing; then the next one.
        self.wait_ended([(2, 0), (1, 1)], *crowd)
        admin = self.hold(daemon, 1, 65532, 1)
        self.assertEqual(self.ended(admin), (0, 0))
        for one in mine:
            self.assertEqual(one.call("io.ftcpd.Health")["health"], "ok")
        # They themselves get no place by it.
        self.wait_ended([(1, 0)], self.hold(daemon, 1, 65533))

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
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be a user who may not steer")
        _, daemon, _ = self.linked("[Control]\nMaxClients=8\n")
        harness.os.chmod(daemon.directory, 0o755)
        # One that has just ended may still be counted.
        crowd = self.hold(daemon, 12)
        until(lambda: self.ended(crowd) in ((4, 0), (5, 0)), "four or five to be closed")

    def test_who_steers_is_not_shut_out_by_idle_connections_of_its_own(self):
        _, daemon, _ = self.linked("[Control]\nMaxClients=2\n")
        follow = until(lambda: self.served(daemon), "a place")
        follow.send({"method": "io.ftcpd.Monitor", "more": True, "parameters": {"history": 1}})
        follow.recv()
        idle = until(lambda: self.served(daemon), "another place")
        self.assertIsNotNone(self.served(daemon))
        self.assertIsNone(idle.recv())
        self.assertIsNotNone(self.served(daemon))

    def test_a_flood_at_the_door_keeps_neither_root_nor_another_user_waiting_for_long(self):
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be several users")
        _, daemon, _ = self.linked()
        harness.os.chmod(daemon.directory, 0o755)
        # Where others can reach it, wherever it was built.
        tool = harness.os.path.join(daemon.directory, "ftcpctl")
        shutil.copy(harness.program("ftcpctl"), tool)
        for name in ("flood", "fat", "strings"):
            attack = [self.spawn([sys.executable, hostile.__file__, name, daemon.control_path, "30",
                                  "65534"], stdout=-1) for _ in range(4)]
            for process in attack:
                self.addCleanup(process.stdout.close)
                process.stdout.readline()
            for user in (0, 33, 0, 33):
                done = harness.subprocess.run([tool, "--socket", daemon.control_path, "health"],
                                              capture_output=True, text=True, check=False,
                                              timeout=harness.DEADLINE, user=user, cwd="/")
                self.assertEqual(done.returncode, 0, f"{name}, user {user}: {done.stdout}")
            self.assertEqual([process.poll() for process in attack], [None] * 4)
            for process in attack:
                harness.end(process)

    def test_health_of_who_finds_no_place_is_unknown_and_no_alarm(self):
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be a user who may not steer")
        _, daemon, _ = self.linked("[Control]\nMaxClients=2\n")
        harness.os.chmod(daemon.directory, 0o755)
        tool = harness.os.path.join(daemon.directory, "ftcpctl")
        shutil.copy(harness.program("ftcpctl"), tool)

        def health():
            return self.spawn([tool, "--socket", daemon.control_path, "health"], text=True,
                              stdout=-1, user=65534, cwd="/")

        # One that has just ended may still be counted.
        crowd = self.hold(daemon, 4)
        until(lambda: self.ended(crowd) == (2, 0), "two to be closed")
        process = health()
        self.addCleanup(process.stdout.close)
        out, _ = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, 3, out)
        self.assertIn("UNKNOWN: ftcpd runs, but closed the connection", out)
        # A place that comes free while it asks is enough.
        process = health()
        self.addCleanup(process.stdout.close)
        harness.end(crowd)
        out, _ = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual((process.returncode, out), (0, "OK\n"))

    def test_nobody_else_takes_the_place_of_who_steers(self):
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be two users")
        _, daemon, _ = self.linked("[Control]\nMaxClients=8\n")
        harness.os.chmod(daemon.directory, 0o755)
        mine = self.hold(daemon, 5, 0, 5)
        theirs = self.hold(daemon, 4)
        self.wait_ended([(1, 0)], theirs)
        self.assertEqual(self.ended(mine), (0, 0))


if __name__ == "__main__":
    harness.main()

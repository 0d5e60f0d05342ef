# SPDX-License-Identifier: MIT
"""Admin=: who may change state besides root and the daemon's own user, and what others are told."""
import grp
import json
import os
import pwd
import shutil
import subprocess

import harness

NOBODY, DAEMON, GAMES, NOGROUP = 65534, 1, 60, 65534  # as in Debian's base-passwd

# All that changes state, with parameters that are right; and all that does not.
STEERS = {
    "Hold": {"reason": "a test"},
    "Release": {},
    "Reconnect": {},
    "DropClient": {"id": 1},
    "SetLogLevel": {"level": "info"},
    "Reload": {},
}
ASKS = ("Status", "Health", "ListClients", "RecentEvents", "GetConfig", "Flush")
VERBS = (("hold",), ("release",), ("reconnect",), ("drop", "1"), ("log-level", "info"), ("reload",))

# Run as another user: calls a method, prints the reply.
CALL = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
call = {"method": "io.ftcpd." + sys.argv[2], "parameters": json.loads(sys.argv[3])}
sock.sendall(json.dumps(call).encode() + b"\\0")
reply = b""
while not reply.endswith(b"\\0"):
    data = sock.recv(65536)
    if not data:
        sys.exit("the connection ended")
    reply += data
print(reply[:-1].decode())
"""


class Admin(harness.SystemTest):
    def setUp(self):
        super().setUp()
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        try:
            names = (pwd.getpwuid(NOBODY).pw_name, grp.getgrgid(DAEMON).gr_name,
                     grp.getgrgid(GAMES).gr_name, grp.getgrgid(NOGROUP).gr_name)
        except KeyError:
            names = None
        if names != ("nobody", "daemon", "games", "nogroup"):
            self.skipTest("the users and groups of this system have other numbers")

    def linked_with(self, config=""):
        _, daemon, _ = self.linked(config)
        os.chmod(daemon.directory, 0o755)
        # Where others can reach it, wherever it was built.
        self.tool = os.path.join(daemon.directory, "ftcpctl")
        shutil.copy(harness.program("ftcpctl"), self.tool)
        return daemon

    def call(self, daemon, method, parameters, uid, gid, groups=()):
        """The whole reply to a call of another user."""
        done = subprocess.run(
            ["/usr/bin/python3", "-c", CALL, daemon.control_path, method, json.dumps(parameters)],
            capture_output=True, text=True, timeout=harness.DEADLINE, check=True,
            user=uid, group=gid, extra_groups=list(groups), cwd="/",
        )
        return json.loads(done.stdout)

    def ctl(self, daemon, *args, who):
        uid, gid, groups = who
        done = subprocess.run(
            [self.tool, "--socket", daemon.control_path, *args],
            capture_output=True, text=True, timeout=harness.DEADLINE, check=False,
            user=uid, group=gid, extra_groups=list(groups), cwd="/",
        )
        return done.returncode, done.stdout, done.stderr

    def may(self, daemon, *who):
        reply = self.call(daemon, "SetLogLevel", {"level": "info"}, *who)
        self.assertIn(reply.get("error"), (None, "org.varlink.service.PermissionDenied"))
        return "error" not in reply

    def test_without_it_others_may_ask_everything_and_change_nothing(self):
        daemon = self.linked_with()
        client = daemon.client()
        before = daemon.wait_clients(1)
        for method, parameters in STEERS.items():
            reply = self.call(daemon, method, parameters, NOBODY, NOGROUP)
            self.assertEqual(reply.get("error"), "org.varlink.service.PermissionDenied", method)
        for method in ASKS:
            self.assertNotIn("error", self.call(daemon, method, {}, NOBODY, NOGROUP), method)
        status = daemon.status()
        for key in ("connects", "disconnects", "state"):
            self.assertEqual(status["upstream"][key], before["upstream"][key])
        self.assertEqual(status["clients"], 1)
        self.assertNotIn("heldBy", status["upstream"])
        self.assertNotIn("the configuration was reloaded", daemon.log)
        client.close()

    def test_every_method_that_is_not_known_to_change_nothing_is_one_of_these(self):
        daemon = self.linked_with()
        with harness.Varlink(daemon.control_path) as varlink:
            text = varlink.call("org.varlink.service.GetInterfaceDescription",
                                interface="io.ftcpd")["description"]
        methods = {line.split("(")[0][len("method "):]
                   for line in text.splitlines() if line.startswith("method ")}
        others = {"Monitor", "GetMetrics", "GetLatency", "Tap"}
        self.assertEqual(methods - others, set(STEERS) | set(ASKS))

    def test_users_and_any_group_of_theirs_count(self):
        daemon = self.linked_with("[Control]\nAdmin=nobody @games\n")
        self.assertTrue(self.may(daemon, NOBODY, NOGROUP))
        self.assertFalse(self.may(daemon, DAEMON, DAEMON))
        self.assertTrue(self.may(daemon, DAEMON, GAMES))
        self.assertTrue(self.may(daemon, DAEMON, DAEMON, (NOGROUP, GAMES)))
        self.assertFalse(self.may(daemon, DAEMON, DAEMON, (NOGROUP,)))
        self.assertFalse(self.may(daemon, GAMES, DAEMON))  # a user's number is no group's
        self.assertTrue(self.may(daemon, 0, 0))

    def test_a_reload_changes_it_for_the_next_call(self):
        daemon = self.linked_with()
        self.assertFalse(self.may(daemon, NOBODY, NOGROUP))
        daemon.reconfigure("[Control]\nAdmin=@nogroup\n")
        self.assertTrue(self.may(daemon, NOBODY, NOGROUP))
        daemon.reconfigure("[Control]\nAdmin=\n")
        self.assertFalse(self.may(daemon, NOBODY, NOGROUP))

    def test_who_held_the_link_is_named(self):
        daemon = self.linked_with("[Control]\nAdmin=nobody 54321\n")
        self.call(daemon, "Hold", {}, NOBODY, NOGROUP)
        self.assertEqual(daemon.status()["upstream"]["heldBy"], "nobody")
        daemon.wait_log("link: held by nobody")
        self.call(daemon, "Hold", {}, 54321, NOGROUP)
        self.assertEqual(daemon.status()["upstream"]["heldBy"], "uid 54321")
        self.call(daemon, "Release", {}, NOBODY, NOGROUP)
        daemon.wait_log("released by nobody")

    def test_a_daemon_that_is_not_roots_obeys_its_own_user(self):
        upstream = self.upstream()
        daemon = self.as_user(upstream, NOBODY, NOGROUP)
        who = (NOBODY, NOGROUP, ())
        self.assertEqual(self.ctl(daemon, "hold", who=who)[0], 0)
        self.assertEqual(self.ctl(daemon, "release", who=who)[0], 0)
        code, _, err = self.ctl(daemon, "hold", who=(GAMES, GAMES, ()))
        self.assertEqual(code, 4)
        self.assertIn("not permitted: Hold needs root, the user nobody, or Admin= in ftcpd.conf", err)

    def as_user(self, upstream, uid, gid):
        """A daemon of that user's, linked."""

        class Theirs(harness.Daemon):
            def configure(self, config):
                super().configure(config)
                for path in (self.directory, self.config_path):
                    os.chown(path, uid, gid)

            def options(self):
                return {"user": uid, "group": gid, "extra_groups": []}

            def command(self):
                program = os.path.join(self.directory, "ftcpd")
                if not os.path.exists(program):
                    shutil.copy(harness.program("ftcpd"), program)
                return [program, *super().command()[1:]]

        self.daemon_class = Theirs
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
        upstream.accept()
        daemon.wait_state("up")
        os.chmod(daemon.directory, 0o755)
        self.tool = os.path.join(daemon.directory, "ftcpctl")
        shutil.copy(harness.program("ftcpctl"), self.tool)
        return daemon

    def test_every_verb_that_steers_exits_with_4_and_tells_what_it_needs(self):
        daemon = self.linked_with()
        daemon.client()
        daemon.wait_clients(1)
        for verb in VERBS:
            code, out, err = self.ctl(daemon, *verb, who=(NOBODY, NOGROUP, ()))
            self.assertEqual((code, out), (4, ""), verb)
            self.assertRegex(err, r"not permitted: \w+ needs root, or Admin= in ftcpd.conf, which "
                                  "names no group to join; use sudo")
        daemon.reconfigure("[Control]\nAdmin=daemon @games\nAdmin=@adm\n")
        for verb in VERBS:
            code, out, err = self.ctl(daemon, *verb, who=(NOBODY, NOGROUP, ()))
            self.assertEqual((code, out), (4, ""), verb)
            self.assertIn("Admin= in ftcpd.conf; join the group games or adm", err)
        for verb in VERBS:
            code, _, err = self.ctl(daemon, *verb, who=(NOBODY, NOGROUP, (GAMES,)))
            self.assertEqual((code, err), (0, ""), verb)
        self.assertEqual(self.ctl(daemon, "flush", who=(NOBODY, NOGROUP, ()))[0], 0)


if __name__ == "__main__":
    harness.main()

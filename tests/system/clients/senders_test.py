# SPDX-License-Identifier: MIT
"""Senders=: whose messages are taken, told by who connected."""
import grp
import os
import pwd
import shutil
import tempfile

import harness
from local import check_books, connect_as, stays, wait_listed

NOBODY, DAEMON, GAMES = 65534, 1, 60  # as in Debian's base-passwd
LATE = 70001


class People(harness.SystemTest):
    """The upstream, a reader of root's, and clients of other users."""
    env = None

    def setUp(self):
        super().setUp()
        if os.getuid() != 0:
            self.skipTest("only root can connect as another user")
        try:
            names = (pwd.getpwuid(NOBODY).pw_name, grp.getgrgid(DAEMON).gr_name,
                     grp.getgrgid(GAMES).gr_name)
        except KeyError:
            names = None
        if names != ("nobody", "daemon", "games"):
            self.skipTest("the users and groups of this system have other numbers")

    def linked_with(self, senders, more=""):
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n[Local]\nSocketMode=0666\n"
                             f"Senders={senders}\n{more}", env=self.env)
        session = upstream.accept()
        daemon.wait_state("up")
        os.chmod(daemon.directory, 0o755)
        return daemon, session

    def connect_as(self, daemon, *who):
        client = connect_as(daemon.data_path, *who)
        self.addCleanup(client.close)
        return client

    def check_sends(self, daemon, session, client, text):
        client.send(text)
        session.expect(text)
        self.assertFalse(daemon.call("ListClients")["clients"][-1]["receiveOnly"])

    def check_refused(self, daemon, session, client, text):
        before = daemon.status()["refused"]
        client.send(text)
        status = daemon.wait_status(lambda s: s["refused"] != before, "it to be refused")
        self.assertEqual(status["refused"]["messages"], before["messages"] + 1)
        self.assertEqual(status["refused"]["bytes"], before["bytes"] + len(text) + 4)
        self.assertTrue(daemon.call("ListClients")["clients"][-1]["receiveOnly"])
        client.send(b"more")
        session.send(b"for all")
        client.expect(b"for all")


class Senders(People):
    """Of whom the kernel tells all."""

    def test_a_user_that_is_named_sends_and_root_is_no_exception(self):
        daemon, session = self.linked_with("nobody")
        nobody = self.connect_as(daemon, NOBODY, NOBODY)
        self.check_sends(daemon, session, nobody, b"from nobody")
        root = daemon.client()
        self.check_refused(daemon, session, root, b"from root")
        daemon.wait_log(r"client 2 \(.*uid 0\): may not send \(Senders=\)")
        self.check_sends(daemon, session, self.connect_as(daemon, NOBODY, NOBODY), b"again")
        self.assertEqual(daemon.log.count("may not send"), 1)
        self.assertEqual(check_books(daemon.status())["toUpstream"]["accepted"]["messages"], 2)

    def test_a_group_is_the_first_or_any_other_one(self):
        daemon, session = self.linked_with("@daemon")
        self.check_sends(daemon, session, self.connect_as(daemon, NOBODY, DAEMON), b"first")
        other = self.connect_as(daemon, NOBODY, NOBODY, [GAMES, DAEMON])
        self.check_sends(daemon, session, other, b"supplementary")
        self.check_refused(daemon, session, self.connect_as(daemon, NOBODY, NOBODY, [GAMES]), b"no")
        self.check_refused(daemon, session, self.connect_as(daemon, DAEMON, NOBODY), b"a user only")

    def test_many_groups_are_all_looked_at(self):
        daemon, session = self.linked_with("@daemon")
        groups = list(range(5000, 5200)) + [DAEMON]
        self.check_sends(daemon, session, self.connect_as(daemon, NOBODY, NOBODY, groups), b"200")

    def test_several_may_be_named_by_name_or_number(self):
        daemon, session = self.linked_with("root 65534 @60")
        self.check_sends(daemon, session, daemon.client(), b"root")
        self.check_sends(daemon, session, self.connect_as(daemon, NOBODY, NOBODY), b"nobody")
        self.check_sends(daemon, session, self.connect_as(daemon, DAEMON, GAMES), b"games")
        self.check_refused(daemon, session, self.connect_as(daemon, DAEMON, DAEMON), b"daemon")

    def test_who_only_receives_may_say_anything_and_is_neither_blocked_nor_cut_off(self):
        daemon, session = self.linked_with("nobody")
        root = daemon.client()
        root.send_raw(b"GET / HTTP/1.1\r\n\r\n")
        root.send_raw(b"\xff" * 3_000_000)
        session.send(b"still here")
        root.expect(b"still here")
        status = daemon.wait_status(lambda s: s["refused"]["bytes"] == 3_000_018, "all its bytes")
        self.assertEqual(status["refused"]["messages"], 1)
        self.assertEqual(status["clients"], 1)
        root.shut_write()
        stays(lambda: daemon.status()["clients"] == 1, 0.1)
        root.close()
        daemon.wait_clients(0)

    def reload(self, daemon, senders):
        with open(daemon.config_path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        with open(daemon.config_path, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"Senders={senders}\n" if line.startswith("Senders=") else line + "\n")
        daemon.call("Reload")

    def test_a_reload_counts_for_those_who_are_connected(self):
        daemon, session = self.linked_with("nobody")
        nobody, root, quiet = (self.connect_as(daemon, NOBODY, NOBODY), daemon.client(),
                               daemon.client())
        daemon.wait_clients(3)
        root.send(b"in vain")
        daemon.wait_status(lambda s: s["refused"]["messages"] == 1, "it to be refused")
        nobody.send_raw(b"\0\0\0\x08part")
        wait_listed(daemon, lambda c: c.get("partial"), "a part of a message")
        self.reload(daemon, "root")
        status = daemon.wait_status(lambda s: s["refused"]["messages"] == 2, "the part to go")
        self.assertEqual(status["clients"], 3)
        nobody.send_raw(b"rest")
        quiet.send(b"now I may")
        session.expect(b"now I may")
        # Of the stream of one whose bytes were thrown away nobody knows where a message begins.
        root.send(b"still in vain")
        quiet.send(b"last")
        session.expect(b"last")
        listed = {c["id"]: c["receiveOnly"] for c in daemon.call("ListClients")["clients"]}
        self.assertEqual(listed, {1: True, 2: True, 3: False})
        self.reload(daemon, "")
        with daemon.client() as fresh:
            fresh.send(b"everybody")
            session.expect(b"everybody")


class Untold(People):
    """A kernel that tells less of a client, or nothing."""

    def setUp(self):
        super().setUp()
        library = self.preload("untold.c")
        self.word = os.path.join(os.path.dirname(library), "word")
        self.env = {"LD_PRELOAD": library, "FTCPD_UNTOLD": self.word}

    def tell(self, word):
        with open(self.word, "w", encoding="utf-8") as file:
            file.write(word)

    def test_without_groups_the_user_and_its_first_group_count(self):
        self.tell("groups")
        daemon, session = self.linked_with("root @daemon")
        self.check_refused(daemon, session, self.connect_as(daemon, NOBODY, NOBODY), b"nobody")
        self.check_sends(daemon, session, self.connect_as(daemon, NOBODY, DAEMON), b"its group")
        other = self.connect_as(daemon, NOBODY, NOBODY, [DAEMON])
        self.check_refused(daemon, session, other, b"a group that is not told")
        self.check_sends(daemon, session, daemon.client(), b"root")
        self.assertEqual([c["uid"] for c in daemon.call("ListClients")["clients"]],
                         [NOBODY, NOBODY, NOBODY, 0])
        daemon.call("Hold")  # root may

    def test_whom_nobody_tells_is_nobody_and_may_change_nothing(self):
        for word in ("all", "none"):
            with self.subTest(word=word):
                self.tell(word)
                daemon, session = self.linked_with("root @root 65534",
                                                   "[Control]\nAdmin=root @root\n")
                self.check_refused(daemon, session, daemon.client(), b"root, but who knows")
                row = daemon.call("ListClients")["clients"][0]
                self.assertFalse({"pid", "uid", "gid", "program", "peer"} & set(row), row)
                _, table, _ = daemon.ctl("clients")
                self.assertEqual(table.splitlines()[1].split()[:4], ["1", "-", "unknown", "-"])
                daemon.wait_log(r"client 1 \(unknown\): may not send")
                with self.assertRaises(harness.VarlinkError) as refused:
                    daemon.call("Hold")
                self.assertEqual(refused.exception.name, "org.varlink.service.PermissionDenied")

    def test_without_senders_everybody_who_may_connect_sends(self):
        self.tell("all")
        daemon, session = self.linked_with("")
        client = daemon.client()
        client.send(b"whoever that is")
        session.expect(b"whoever that is")

    def test_at_a_reload_a_failure_takes_the_right_away(self):
        self.tell("")
        daemon, session = self.linked_with("root")
        client = daemon.client()
        self.check_sends(daemon, session, client, b"as root")
        daemon.call("Reload")
        self.check_sends(daemon, session, client, b"still")
        self.tell("all")
        daemon.hangup()  # over the control socket nobody may any more
        daemon.wait_log(r"client 1 .*: may only receive from now on")
        self.check_refused(daemon, session, client, b"no longer")


class Unknown(People):
    """A directory of users that comes later than ftcpd: /etc/group as a mount of its own."""

    def setUp(self):
        super().setUp()
        harness.need("unshare", "mount")
        self.directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.groups = os.path.join(self.directory, "group")
        shutil.copy("/etc/group", self.groups)
        os.chmod(self.groups, 0o644)

    def linked_with(self, senders, more=""):
        groups = self.groups

        class Private(harness.Daemon):
            def command(self):
                return ["unshare", "--mount", "--propagation=private", "sh", "-c",
                        f'mount --bind {groups} /etc/group && exec "$@"', "sh",
                        *super().command()]

        self.daemon_class = Private
        return super().linked_with(senders, more)

    def come(self):
        with open(self.groups, "a", encoding="utf-8") as file:
            file.write(f"corp ops:x:{LATE}:\n")

    def test_a_name_that_is_unknown_matches_nobody_and_ends_no_start(self):
        daemon, session = self.linked_with('@"corp ops" root')
        daemon.wait_log(r'Senders: there is no group "corp ops": nobody matches, and it is looked '
                        r'up again every 30s')
        late = self.connect_as(daemon, NOBODY, LATE)
        self.check_refused(daemon, session, late, b"too early")
        self.check_sends(daemon, session, daemon.client(), b"root")
        self.assertEqual(daemon.call("Health")["health"], "ok")
        settings = daemon.call("GetConfig")["settings"]
        self.assertIn('@"corp ops"', [s["value"] for s in settings if s["key"] == "Senders"])
        self.come()
        daemon.call("Reload")
        self.check_sends(daemon, session, self.connect_as(daemon, NOBODY, LATE), b"in time")
        self.assertTrue(daemon.call("ListClients")["clients"][0]["receiveOnly"])

    def test_a_name_that_comes_later_counts_without_any_reload(self):
        daemon, session = self.linked_with(
            '@"corp ops"', 'SocketGroup=corp ops\n[Control]\nAdmin=@"corp ops"\n')
        self.assertEqual(os.stat(daemon.data_path).st_mode & 0o777, 0o606)
        early, quiet = (self.connect_as(daemon, NOBODY, LATE) for _ in range(2))
        self.check_refused(daemon, session, quiet, b"too early")
        self.come()
        daemon.wait_log(r'the group "corp ops" was found: gid %d' % LATE, 60)
        self.check_sends(daemon, session, early, b"in time")
        daemon.wait_clients(1)  # who was refused is disconnected
        shown = os.stat(daemon.data_path)
        self.assertEqual((shown.st_mode & 0o777, shown.st_gid), (0o666, LATE))


if __name__ == "__main__":
    harness.main()

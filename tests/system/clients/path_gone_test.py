# SPDX-License-Identifier: MIT
"""A socket's path is removed, or taken by another program, while ftcpd runs."""
import os
import re
import shutil
import socket
import tempfile

import harness
from harness import until

CONFIG = "[Upstream]\nReconnectDelay=50ms\n"
GONE = "nobody can connect: the socket's path is gone: "
TAKEN = "nobody can connect: the socket's path is taken: "


def reasons(daemon):
    return [reason["text"] for reason in daemon.call("Health")["reasons"]]


class PathGone(harness.SystemTest):
    def pair(self, config=""):
        upstream, daemon, session = self.linked(CONFIG + config)
        client = daemon.client()
        daemon.wait_clients(1)
        return daemon, session, client

    def stranger(self, path):
        """Another program's socket at the path."""
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(path)
        sock.listen(8)
        return sock

    def check_fresh(self, daemon, session, *clients):
        """Who connects now is served, as those are who were there."""
        before = daemon.status()["clients"]
        fresh = daemon.client()
        daemon.wait_clients(before + 1)
        fresh.send(b"fresh")
        session.expect(b"fresh")
        session.send(b"all")
        for client in (*clients, fresh):
            client.expect(b"all")
        return fresh

    def test_a_removed_data_socket_is_told_once_and_a_reload_binds_it_anew(self):
        daemon, session, client = self.pair()
        inode = daemon.status()["dataSocket"]["inode"]
        self.assertEqual(reasons(daemon), [])
        os.unlink(daemon.data_path)
        gone = f"{GONE}nothing stands at {daemon.data_path}; a reload binds it anew"
        for _ in range(3):
            self.assertEqual(daemon.call("Health"),
                             {"health": "warning",
                              "reasons": [{"severity": "warning", "text": gone}]})
        self.assertEqual(daemon.log.count(gone), 1)
        self.assertIn(gone, [e["text"] for e in daemon.call("RecentEvents")["events"]])
        client.send(b"up")
        session.expect(b"up")
        self.assertEqual(daemon.ctl("reload"), (0, "", ""))
        self.assertEqual(reasons(daemon), [])
        daemon.wait_log(re.escape(f"[Local] Socket: {daemon.data_path} is bound anew"))
        self.assertEqual(os.stat(daemon.data_path).st_ino, daemon.status()["dataSocket"]["inode"])
        self.assertNotEqual(inode, daemon.status()["dataSocket"]["inode"])
        self.check_fresh(daemon, session, client)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(daemon.data_path))

    def test_who_knocked_before_the_path_went_and_who_knocks_elsewhere_is_served(self):
        daemon, session, client = self.pair()
        link = daemon.data_path + ".link"  # as a mount of the socket's file in a container
        os.link(daemon.data_path, link)
        self.addCleanup(os.unlink, link)
        daemon.freeze()
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(daemon.data_path)
            os.unlink(daemon.data_path)
            daemon.hangup()
            daemon.thaw()
            daemon.wait_log("is bound anew")
            daemon.wait_clients(2)
            with socket.socket(socket.AF_UNIX) as elsewhere:
                elsewhere.connect(link)
                daemon.wait_clients(3)
        daemon.wait_clients(1)
        self.check_fresh(daemon, session, client)

    def test_the_mode_and_group_are_those_of_the_configuration_again(self):
        for group, mode in (("", 0o662), ("SocketGroup=no-such-group\n", 0o602)):
            daemon, _, _ = self.pair(f"[Local]\nSocketMode=0662\n{group}")
            os.unlink(daemon.data_path)
            daemon.call("Reload")
            # Until the group is known, the group of the process gets nothing.
            self.assertEqual(os.stat(daemon.data_path).st_mode & 0o7777, mode)

    def test_a_file_or_a_live_socket_in_its_place_is_left_alone_and_a_stale_one_is_not(self):
        daemon, session, client = self.pair()
        os.unlink(daemon.data_path)
        with open(daemon.data_path, "w", encoding="ascii") as file:
            file.write("precious")
        gone = f"{TAKEN}a file that is no socket stands at {daemon.data_path}; once it is removed, " \
               "a reload binds the socket anew"
        self.assertEqual(reasons(daemon), [gone])
        self.assertEqual(daemon.ctl("reload"), (
            0, "", f"warning: [Local] Socket: {daemon.data_path} exists and is no socket\n"))
        self.assertEqual(reasons(daemon), [gone])
        with open(daemon.data_path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(daemon.data_path)
        other = self.stranger(daemon.data_path)
        gone = f"{TAKEN}another socket stands at {daemon.data_path}; a reload binds it anew once " \
               "nobody listens there"
        self.assertEqual(reasons(daemon), [gone])
        self.assertIn("in use: another program listens there", daemon.ctl("reload")[2])
        self.assertEqual(daemon.ctl("send", "x")[0], 3)  # and not to the other one
        other.close()
        self.assertEqual(reasons(daemon), [gone])
        daemon.call("Reload")
        self.assertEqual(reasons(daemon), [])
        self.check_fresh(daemon, session, client)

    def test_another_ftcpd_that_took_path_and_lock_keeps_them_at_our_stop(self):
        daemon, _, _ = self.pair()
        os.unlink(daemon.data_path)
        os.unlink(daemon.data_path + ".lock")
        other = self.daemon(f"{CONFIG}Address=127.0.0.1:1\n[Local]\nSocket={daemon.data_path}\n")
        self.assertIn("another socket stands", reasons(daemon)[0])
        self.assertIn("in use: another process holds the lock", daemon.ctl("reload")[2])
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(reasons(other)[1:], [])
        with other.client():
            other.wait_clients(1)

    def test_a_path_that_comes_back_is_told_too(self):
        daemon, session, client = self.pair()
        os.rename(daemon.data_path, daemon.data_path + ".old")
        self.assertEqual(len(reasons(daemon)), 1)
        os.rename(daemon.data_path + ".old", daemon.data_path)
        self.assertEqual(reasons(daemon), [])
        self.assertIn(f"the socket's path is back: {daemon.data_path}", daemon.log)
        self.check_fresh(daemon, session, client)

    def test_a_removed_control_socket_is_told_in_the_log_and_sighup_binds_it_anew(self):
        daemon, session, client = self.pair()
        with harness.Varlink(daemon.control_path) as before:
            os.unlink(daemon.control_path)
            code, _, error = daemon.ctl("status")
            self.assertEqual(code, 3)
            self.assertIn("if ftcpd runs, its socket was removed: SIGHUP binds it anew", error)
            gone = "nobody can ask or steer: the control socket's path is gone: nothing stands at " \
                   f"{daemon.control_path}; SIGHUP binds it anew"
            daemon.wait_log(re.escape(gone))  # though nobody asks
            self.assertEqual([r["text"] for r in before.call("io.ftcpd.Health")["reasons"]], [gone])
            daemon.hangup()
            until(daemon._answers, "it to be bound anew")
            self.assertEqual(before.call("io.ftcpd.Health")["reasons"], [])
        self.assertEqual(reasons(daemon), [])
        self.assertEqual(daemon.log.count(gone), 1)
        self.check_fresh(daemon, session, client)

    def test_a_removed_directory_is_told_and_a_new_one_is_used(self):
        directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        daemon, session, client = self.pair(f"[Local]\nSocket={directory}/sock\n")
        shutil.rmtree(directory)
        self.assertIn(GONE, reasons(daemon)[0])
        self.assertIn("No such file or directory", daemon.ctl("reload")[2])
        os.mkdir(directory)
        daemon.call("Reload")
        self.assertEqual(reasons(daemon), [])
        self.assertTrue(os.path.exists(directory + "/sock.lock"))
        self.check_fresh(daemon, session, client)

    def test_a_reload_that_is_refused_binds_the_socket_anew_all_the_same(self):
        daemon, session, client = self.pair()
        os.unlink(daemon.data_path)
        daemon.configure("[Upstream]\nAddress=nonsense\n")
        code, _, error = daemon.ctl("reload")
        self.assertEqual(code, 1)
        self.assertRegex(error, r'(?sm)\[Upstream\] Address: "nonsense" is no address: .*'
                         rf"^\[Local\] Socket: {daemon.data_path} is bound anew$.*"
                         "the configuration was refused; what was in force stays so")
        self.assertEqual(reasons(daemon), [])
        self.check_fresh(daemon, session, client)
        os.unlink(daemon.data_path)
        with open(daemon.data_path, "w", encoding="ascii"):
            pass
        self.assertIn(f"\n[Local] Socket: {daemon.data_path} exists and is no socket\n",
                      daemon.ctl("reload")[2])

    def test_a_removed_lock_is_made_again(self):
        daemon, _, _ = self.pair()
        os.unlink(daemon.data_path + ".lock")
        daemon.call("Reload")
        self.assertTrue(os.path.exists(daemon.data_path + ".lock"))
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(daemon.data_path + ".lock"))


if __name__ == "__main__":
    harness.main()

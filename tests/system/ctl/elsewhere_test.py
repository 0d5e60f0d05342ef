# SPDX-License-Identifier: MIT
"""ftcpctl and a daemon in another mount namespace: send and recv reach no other daemon's socket."""
import os
import shutil
import socket
import subprocess
import tempfile

import harness
from harness import until


class Inside(harness.Daemon):
    """An ftcpd for which another directory stands at the place of its sockets, as in a container.
    Its files, but for the sockets, are outside."""

    def __init__(self, config, place, **options):
        self.place = place
        super().__init__(f"{config}\n[Local]\nSocket={place}/data\nSenders=root\n"
                         f"[Control]\nSocket={place}/varlink\n", wait=False, **options)
        self.control_path = f"/proc/{self.pid}/root{place}/varlink"
        until(self._answers, "the daemon inside to answer")

    def command(self):
        return ["unshare", "--mount", "--propagation=private", "sh", "-c",
                f'mount -t tmpfs none {self.place} && exec "$@"', "sh", *super().command()]


class Elsewhere(harness.SystemTest):
    """A daemon inside, and one outside whose sockets have the same paths."""

    def setUp(self):
        super().setUp()
        if os.getuid() != 0:
            self.skipTest("only root can mount")
        harness.need("unshare", "mount")
        self.place = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, self.place, True)
        self.inside, self.at_inside = self.start(Inside, place=self.place)

    def start(self, kind, more="", **options):
        """A daemon of this kind, and the upstream's end of its link."""
        self.daemon_class = kind
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{more}", **options)
        session = upstream.accept()
        daemon.wait_state("up")
        return daemon, session

    def start_outside(self):
        return self.start(harness.Daemon, f"[Local]\nSocket={self.place}/data\n"
                                          f"[Control]\nSocket={self.place}/varlink\n")

    def ctl(self, control, *args):
        done = subprocess.run([harness.program("ftcpctl"), "--socket", control, *args], text=True,
                              capture_output=True, timeout=harness.DEADLINE, check=False)
        return done.returncode, done.stderr

    def test_a_message_goes_to_the_daemon_that_was_asked(self):
        outside, at_outside = self.start_outside()
        self.assertEqual(self.ctl(self.inside.control_path, "send", "inside"), (0, ""))
        self.at_inside.expect(b"inside")
        self.assertEqual(self.ctl(outside.control_path, "send", "outside"), (0, ""))
        at_outside.expect(b"outside")
        self.assertEqual(outside.status()["toUpstream"]["accepted"]["messages"], 1)

    def test_messages_come_from_the_daemon_that_was_asked(self):
        self.start_outside()
        receiver = self.spawn([harness.program("ftcpctl"), "--socket", self.inside.control_path,
                               "recv", "-n", "1"], stdout=subprocess.PIPE, text=True)
        self.inside.wait_clients(1)
        self.at_inside.send(b"for you")
        self.assertEqual(receiver.communicate(timeout=harness.DEADLINE)[0], "for you\n")

    def test_a_control_socket_that_is_seen_elsewhere_sends_to_nobody_else(self):
        outside, _ = self.start_outside()
        link = os.path.join(self.place, "link")
        os.symlink(self.inside.control_path, link)
        for verb in (("send", "lost"), ("recv", "--timeout=1s")):
            code, text = self.ctl(link, *verb)
            self.assertEqual(code, 3, text)
            self.assertIn(f"{self.place}/data is not the data socket of the ftcpd that answers at "
                          f"{link}: another socket has that path here", text)
        self.assertEqual(outside.status()["clientsAccepted"], 0)
        outside.stop()
        code, text = self.ctl(link, "send", "lost")
        self.assertEqual(code, 3, text)
        self.assertIn(f"tried {self.place}/data, which does not exist", text)

    def test_a_link_below_the_other_root_leads_to_a_place_below_it(self):
        outside, _ = self.start_outside()
        root = f"/proc/{self.inside.pid}/root"
        os.rename(f"{root}{self.place}/data", f"{root}{self.place}/real")
        os.symlink(f"{self.place}/real", f"{root}{self.place}/data")
        self.assertEqual(self.ctl(self.inside.control_path, "send", "inside"), (0, ""))
        self.at_inside.expect(b"inside")
        self.assertEqual(outside.status()["clientsAccepted"], 0)

    def test_a_mount_of_the_socket_of_one_that_has_ended_is_told_as_such(self):
        outside, _ = self.start_outside()
        mounted = os.path.join(self.place, "mounted")
        with open(mounted, "wb"):
            pass
        script = 'mount --bind "$1" "$2" && echo mounted && read line; exec "$3" --socket "$2" status'
        asking = self.spawn(["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh",
                             f"{self.place}/varlink", mounted, harness.program("ftcpctl")],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)
        self.assertEqual(asking.stdout.readline(), "mounted\n")
        outside.stop()
        outside.start()
        _, text = asking.communicate("\n", timeout=harness.DEADLINE)
        self.assertEqual(asking.returncode, 3)
        self.assertIn("here is a mount of the socket of an ftcpd that has ended: mount the socket's "
                      "directory instead", text)

    def test_a_socket_that_was_replaced_is_not_the_daemons(self):
        outside, _ = self.start_outside()
        os.remove(f"{self.place}/data")
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.bind(f"{self.place}/data")
            stranger.listen()
            code, text = self.ctl(outside.control_path, "send", "a secret")
            self.assertEqual(code, 3, text)
            self.assertIn("another socket has that path", text)
            stranger.setblocking(False)
            with self.assertRaises(BlockingIOError):
                stranger.accept()


if __name__ == "__main__":
    harness.main()

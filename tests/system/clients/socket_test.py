# SPDX-License-Identifier: MIT
"""The sockets that ftcpd listens on, its own and those it is passed, and what it tells systemd."""
import fcntl
import grp
import json
import os
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time

import harness
from harness import until
from local import Wrapped, check_rests, stays, wait_listed

DEAD_LINK = "[Upstream]\nAddress=127.0.0.1:1\nReconnectDelay=1s\n"


class Paths(harness.SystemTest):
    """Paths that are in use, stale, missing, too long, of something else."""

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = os.path.join(self.directory, "sock")

    def start(self, path=None, section="Local", more="", **options):
        config = DEAD_LINK + f"[{section}]\nSocket={path or self.path}\n{more}"
        return self.daemon(config, **options)

    def fails(self, reason, exit_code=1, **options):
        daemon = self.start(wait=False, **options)
        self.assertEqual(daemon.wait_exit(), exit_code)
        self.assertRegex(daemon.log, reason)
        return daemon

    def test_a_path_that_another_ftcpd_has_is_an_error_and_the_other_serves_on(self):
        first = self.start()
        for section in ("Local", "Control"):
            self.fails(f"{self.path} is in use: another process holds the lock", section=section)
        with first.client():
            first.wait_clients(1)
        os.unlink(self.path)  # even so: the lock is what counts
        self.fails(f"{self.path} is in use: another process holds the lock")

    def test_a_path_that_another_program_has_is_an_error_and_left_alone(self):
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
            other.listen(8)
            self.fails(f"{self.path} is in use: another program listens there")
            self.fails(f"{self.path} is in use: another program listens there", section="Control")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.path)

    def test_a_path_of_a_program_that_accepts_nobody_is_in_use_all_the_same(self):
        with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
            other.bind(self.path)
            other.listen(0)
            client.connect(self.path)  # its backlog is full now
            self.fails("in use")

    def test_a_stale_path_is_replaced(self):
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
            other.listen(1)
        daemon = self.start()
        with daemon.client():
            daemon.wait_clients(1)

    def test_what_a_killed_one_left_is_replaced(self):
        daemon = self.start()
        for _ in range(3):
            daemon.kill()
            self.assertTrue(os.path.exists(self.path))
            daemon.start()
            with daemon.client():
                daemon.wait_clients(1)

    def test_a_path_of_something_else_is_left_alone(self):
        with open(self.path, "w", encoding="ascii") as file:
            file.write("precious")
        self.fails(f"{self.path} exists and is no socket")
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(self.path)
        os.mkdir(self.path)
        self.fails(f"{self.path} exists and is no socket")
        os.rmdir(self.path)
        os.symlink("/nowhere", self.path)
        self.fails(f"{self.path} exists and is no socket")

    def test_a_missing_directory_is_told(self):
        path = os.path.join(self.directory, "missing", "sock")
        self.fails(f"{path}.*No such file or directory", path=path)

    def test_a_path_that_is_too_long_is_told_with_the_limit(self):
        path = os.path.join(self.directory, "x" * 120)
        daemon = self.start(path=path, wait=False)
        self.assertEqual(daemon.wait_exit(), 78)
        self.assertRegex(daemon.log, r"\[Local\] Socket: .* expected at most 107")
        longest = os.path.join(self.directory, "y" * (107 - len(self.directory) - 1))
        self.start(path=longest)

    def test_of_many_that_start_at_once_exactly_one_serves(self):
        for _ in range(3):
            daemons = [self.start(wait=False) for _ in range(6)]
            until(lambda: sum(d.process.poll() is not None for d in daemons) == 5, "five to end")
            alive = [d for d in daemons if d.process.poll() is None]
            for daemon in daemons:
                if daemon not in alive:
                    self.assertEqual(daemon.wait_exit(), 1)
                    self.assertIn("in use: another process holds the lock", daemon.log)
            until(lambda: alive[0]._answers(), "the one to answer")
            with alive[0].client():
                alive[0].wait_clients(1)
            self.assertEqual(alive[0].stop(), 0)

    def test_the_lock_is_held_for_life_and_nothing_is_left_after_it(self):
        daemon = self.start()
        with open(self.path + ".lock", "rb") as lock:
            with self.assertRaises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.assertEqual(daemon.stop(), 0)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.assertEqual(os.listdir(self.directory), [])

    def test_mode_and_group_are_set_before_it_listens(self):
        group = grp.getgrgid(60 if os.getuid() == 0 else os.getgid())
        seen, done = [], threading.Event()

        def knock():
            while not done.is_set():
                with socket.socket(socket.AF_UNIX) as sock:
                    try:
                        sock.connect(self.path)
                    except OSError:
                        continue
                    status = os.stat(self.path)
                    seen.append((stat.S_IMODE(status.st_mode), status.st_gid))
                    return

        old = os.umask(0)
        try:
            for _ in range(5):
                done.clear()
                knocking = threading.Thread(target=knock, daemon=True)
                knocking.start()
                daemon = self.start(more=f"SocketMode=0626\nSocketGroup={group.gr_name}\n")
                knocking.join(harness.DEADLINE)
                self.assertEqual(daemon.stop(), 0)
        finally:
            done.set()
            os.umask(old)
        self.assertEqual(seen, [(0o626, group.gr_gid)] * 5)


ACTIVATOR = """#!{python}
import json, os, socket, sys
os.environ.update(json.loads({environment!r}))
fds = json.loads({fds!r})
for number, fd in enumerate(fds):
    os.dup2(fd, 100 + number)
for number in range(len(fds)):
    os.dup2(100 + number, 3 + number)
    os.close(100 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv("{{ftcpd}}", sys.argv)
"""


def send_urgently(client, message):
    """The second and the third byte of the message are urgent."""
    frame = client.frame.wrap(message)
    client.send_raw(frame[:5])
    client.sock.send(frame[5:6], socket.MSG_OOB)
    client.sock.send(frame[6:7], socket.MSG_OOB)
    client.send_raw(frame[7:])


class Activation(harness.SystemTest):
    """Sockets that systemd passes."""

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def bound(self, name):
        """A listening socket: at a path, or by TCP where the name is an address."""
        if name[0].isdigit() or ":" in name:
            family = socket.AF_INET6 if ":" in name else socket.AF_INET
            sock = socket.socket(family)
            sock.bind((name, 0))
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(os.path.join(self.directory, name))
        sock.listen(100)
        self.addCleanup(sock.close)
        return sock

    def activated(self, named, config=""):
        """ftcpd with these (name, socket) passed to it."""
        upstream = self.upstream()
        environment = {"LISTEN_FDS": str(len(named)),
                       "LISTEN_FDNAMES": ":".join(name for name, _ in named)}
        fds = [sock.fileno() for _, sock in named]
        for fd in fds:
            os.set_inheritable(fd, True)
        script = ACTIVATOR.format(python=sys.executable, environment=json.dumps(environment),
                                  fds=json.dumps(fds))
        spawn = harness.spawn
        harness.spawn = lambda *a, **o: spawn(*a, close_fds=False, **o)
        try:
            with Wrapped(self, script):
                daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{config}",
                                     wait=False)
        finally:
            harness.spawn = spawn
        return upstream, daemon

    def ready(self, daemon):
        until(daemon._answers, "ftcpd to answer on its control socket")

    def test_urgent_bytes_stay_in_line(self):
        """Of who waits in the backlog, too. The kernel would take each out of its message."""
        data, inet = self.bound("data"), self.bound("127.0.0.1")
        early = harness.unix_connect(data.getsockname())
        send_urgently(early, b"early")
        upstream, daemon = self.activated([("data", data), ("data", inet)])
        session = upstream.accept()
        session.expect(b"early")
        for connect in (lambda: harness.unix_connect(data.getsockname()),
                        lambda: harness.Framed(socket.create_connection(inet.getsockname()))):
            client = connect()
            self.addCleanup(client.close)
            send_urgently(client, b"a message")
            session.expect(b"a message")
            daemon.freeze()
            client.send(b"one")
            send_urgently(client, b"two urgent bytes before one is read")
            daemon.thaw()
            session.expect(b"one", b"two urgent bytes before one is read")

    def test_passed_sockets_are_served_and_never_unlinked(self):
        data, varlink = self.bound("data"), self.bound("varlink")
        early = harness.unix_connect(data.getsockname())  # waits in the backlog for the daemon
        early.send(b"early")
        upstream, daemon = self.activated([("data", data), ("varlink", varlink)])
        daemon.control_path = varlink.getsockname()
        session = upstream.accept()
        session.expect(b"early")
        settings = daemon.call("GetConfig")["settings"]
        real = [s["value"] for s in settings if (s["section"], s["key"]) == ("Local", "Socket")]
        self.assertEqual(real, [data.getsockname()])
        self.assertFalse(os.path.exists(daemon.data_path), "its own socket is not wanted now")
        session.send(b"hello")
        early.expect(b"hello")
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(os.path.exists(data.getsockname()))
        self.assertTrue(os.path.exists(varlink.getsockname()))
        self.assertEqual(sorted(os.listdir(self.directory)), ["data", "varlink"])
        early.close()

    def test_several_data_sockets_are_served_tcp_among_them(self):
        sockets = [self.bound("one"), self.bound("127.0.0.1"), self.bound("::1"), self.bound("two")]
        upstream, daemon = self.activated([("data", sock) for sock in sockets])
        self.ready(daemon)
        session, clients = upstream.accept(), []
        for number, sock in enumerate(sockets):
            client = harness.Framed(socket.socket(sock.family))
            self.addCleanup(client.close)
            client.sock.connect(sock.getsockname())
            client.send(b"from %d" % number)
            session.expect(b"from %d" % number)
            clients.append(client)
        session.send(b"to all")
        for client in clients:
            client.expect(b"to all")
        listed = daemon.call("ListClients")["clients"]
        peers = [c.get("peer") for c in listed]
        self.assertEqual(peers[0::3], [None, None])
        self.assertRegex(peers[1], r"^127\.0\.0\.1:\d+$")
        self.assertRegex(peers[2], r"^\[::1\]:\d+$")
        self.assertEqual(["pid" in c and c["pid"] is not None for c in listed],
                         [True, False, False, True])
        clients[1].reset()
        clients[2].close()
        session.send(b"once more")  # to a closed TCP client, that is what tells
        session.send(b"and more")
        clients[0].expect(b"once more", b"and more")
        daemon.wait_clients(2)
        check_rests(daemon)

    def test_where_senders_are_named_a_tcp_client_only_receives(self):
        tcp = self.bound("127.0.0.1")
        upstream, daemon = self.activated([("data", tcp)], f"[Local]\nSenders={os.getuid()}\n")
        self.ready(daemon)
        session = upstream.accept()
        client = harness.Framed(socket.create_connection(tcp.getsockname()))
        client.send(b"in vain")
        daemon.wait_status(lambda s: s["refused"]["messages"] == 1, "it to be refused")
        self.assertTrue(wait_listed(daemon, lambda c: c["receiveOnly"], "it"))
        session.send(b"for you")
        client.expect(b"for you")
        client.close()

    def test_only_a_data_socket_or_only_a_control_socket_may_be_passed(self):
        data = self.bound("data")
        upstream, daemon = self.activated([("data", data)])
        self.ready(daemon)
        upstream.accept()
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(daemon.control_path), "its own socket is removed")
        varlink = self.bound("varlink")
        upstream, daemon = self.activated([("varlink", varlink)])
        daemon.control_path = varlink.getsockname()
        self.ready(daemon)
        with daemon.client():
            daemon.wait_clients(1)

    def test_a_passed_socket_that_is_of_no_use_is_told_and_not_used(self):
        stranger, tcp = self.bound("stranger"), self.bound("127.0.0.1")
        dgram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        dgram.bind(os.path.join(self.directory, "dgram"))
        self.addCleanup(dgram.close)
        _, daemon = self.activated([("http", stranger), ("varlink", tcp), ("data", dgram)])
        self.ready(daemon)
        daemon.wait_log('"http", which is not used: its name is neither data nor varlink')
        daemon.wait_log('"varlink", which is not used: the control socket must be a Unix socket')
        daemon.wait_log('"data", which is not used: it is no listening stream socket')
        with daemon.client():
            daemon.wait_clients(1)

    def test_a_passed_socket_whose_path_is_gone_is_bound_anew_by_its_unit_alone(self):
        sockets = [self.bound(name) for name in ("one", "two", "127.0.0.1")]
        upstream, daemon = self.activated([("data", sock) for sock in sockets]
                                          + [("varlink", self.bound("varlink"))])
        daemon.control_path = os.path.join(self.directory, "varlink")
        self.ready(daemon)
        upstream.accept()
        daemon.wait_state()
        gone = [f"{what} path is gone: nothing stands at {self.directory}/{name}; the socket unit "
                f"binds it anew: systemctl restart {unit}.socket"
                for what, name, unit in (
                    ("nobody can connect: the socket's", "two", "ftcpd"),
                    ("nobody can ask or steer: the control socket's", "varlink", "ftcpd-varlink"))]
        with harness.Varlink(daemon.control_path) as control:
            self.assertEqual(control.call("io.ftcpd.Health")["reasons"], [])
            os.unlink(os.path.join(self.directory, "two"))
            os.unlink(os.path.join(self.directory, "varlink"))
            for _ in range(2):
                self.assertEqual(
                    [r["text"] for r in control.call("io.ftcpd.Health")["reasons"]], gone)
                control.call("io.ftcpd.Reload")
                warnings = [e["text"] for e in control.call("io.ftcpd.RecentEvents")["events"]
                            if e["text"].startswith("warning: ")]
                self.assertEqual(warnings[-2:], [f"warning: {text}" for text in gone])
            self.assertFalse(os.path.exists(daemon.control_path))

    def test_systemd_s_own_launcher_starts_it_by_the_first_connection(self):
        harness.need("systemd-socket-activate")
        data, varlink = (os.path.join(self.directory, name) for name in ("data", "varlink"))
        upstream = self.upstream()
        with Wrapped(self, f"#!/bin/sh\nexec systemd-socket-activate -l {data} -l {varlink} "
                     "--fdname=data:varlink {ftcpd} \"$@\"\n"):
            daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n", wait=False)
        until(lambda: os.path.exists(varlink), "the sockets")
        with harness.unix_connect(data) as client:
            client.send(b"wake up")
            upstream.accept().expect(b"wake up")
        daemon.control_path = varlink
        self.ready(daemon)
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(os.path.exists(data) and os.path.exists(varlink))


class Notifications(harness.SystemTest):
    """What systemd is told."""

    def setUp(self):
        super().setUp()
        directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(os.path.join(directory, "notify"))
        self.notify.settimeout(0.05)
        self.heard = []

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.notify.getsockname(), **more}

    def listen(self):
        """Everything heard so far, in order, a line each."""
        try:
            while True:
                self.heard += self.notify.recv(65536).decode().splitlines()
        except TimeoutError:
            return self.heard

    def wait_heard(self, line, after=0):
        """Until a line that begins so is heard; its place."""

        def look():
            for place, heard in enumerate(self.listen()):
                if place >= after and heard.startswith(line):
                    return place + 1
            return None

        return until(look, f"'{line}' among {self.heard}") - 1

    def test_it_is_ready_when_it_listens_though_the_link_is_down(self):
        daemon = self.daemon(DEAD_LINK, env=self.environment(), wait=False)
        self.wait_heard("READY=1")
        with daemon.client():  # at once: it listens already
            pass
        self.wait_heard("STATUS=waiting: ")
        self.assertEqual(self.heard.count("READY=1"), 1)

    def test_it_is_not_ready_where_it_cannot_listen(self):
        daemon = self.daemon(DEAD_LINK + "[Local]\nSocket=/nonexistent/dir/sock\n",
                             env=self.environment(), wait=False)
        self.assertNotEqual(daemon.wait_exit(), 0)
        self.assertNotIn("READY=1", self.listen())

    def test_the_status_follows_the_link(self):
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=1s\n",
                             env=self.environment())
        session = upstream.accept()
        up = self.wait_heard(f"STATUS=up: connected to {upstream.address}")
        session.reset()
        self.wait_heard("STATUS=waiting: reset by the peer", up)
        upstream.accept()
        self.wait_heard("STATUS=up: ", up + 1)
        self.assertEqual(daemon.stop(), 0)
        stopping = self.wait_heard("STOPPING=1")
        self.assertNotIn("READY=1", self.heard[stopping:])

    @harness.in_time
    def test_the_watchdog_is_fed_twice_as_often_as_needed(self):
        begin = time.monotonic()
        daemon = self.daemon(DEAD_LINK, env=self.environment(WATCHDOG_USEC="400000"))
        until(lambda: self.listen().count("WATCHDOG=1") >= 4, "to be fed")
        took = time.monotonic() - begin
        self.assertGreater(took, 0.4)
        self.assertLess(took, 3)
        daemon.freeze()
        fed = self.listen().count("WATCHDOG=1")
        stays(lambda: self.listen().count("WATCHDOG=1") == fed, 0.4)
        daemon.thaw()
        until(lambda: self.listen().count("WATCHDOG=1") > fed, "to be fed again")

    def test_without_a_watchdog_none_is_fed(self):
        self.daemon(DEAD_LINK, env=self.environment())
        stays(lambda: "WATCHDOG=1" not in self.listen(), 0.2)

    def test_a_reload_is_told_with_its_time_and_ends_with_ready(self):
        daemon = self.daemon(DEAD_LINK, env=self.environment())
        self.wait_heard("READY=1")
        for config in (DEAD_LINK, "[Upstream]\nAddress=nonsense\n"):  # a good one and a bad one
            place = len(self.listen())
            daemon.configure(config)
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            daemon.hangup()
            reloading = self.wait_heard("RELOADING=1", place)
            self.wait_heard("READY=1", reloading)
            usec = self.heard[self.wait_heard("MONOTONIC_USEC=", reloading)].partition("=")[2]
            self.assertGreaterEqual(int(usec), before)
            self.assertLess(int(usec) - before, harness.DEADLINE * 1_000_000)
        daemon.wait_log("the configuration was not reloaded")


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""A process is started in odd surroundings: what it lacks is told, and harms nobody."""
import ctypes
import errno
import fcntl
import os
import resource
import shutil
import socket
import stat
import subprocess
import tempfile
import unittest

import harness
import local
from manager import Managed, ManagedTest

F_GET_SEALS, F_SEAL_EXEC = 1034, 0x20
MFD_NOEXEC_SEAL = 8

DAEMON, NOBODY = 1, 65534


def hear(manager):
    """All words that wait, of each the last."""
    said = {}
    while True:
        try:
            words = manager.recv(65536).decode()
        except BlockingIOError:
            return said
        said.update(line.partition("=")[::2] for line in words.splitlines())


class Surroundings(harness.SystemTest):
    def test_closed_standard_descriptors_do_not_become_the_store_or_a_client(self):
        upstream = self.upstream()
        with local.Wrapped(self, "#!/bin/sh\nexec {ftcpd} \"$@\" 0<&- 1>&- 2>&-\n"):
            daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
        for fd in range(3):
            self.assertEqual(os.readlink(f"/proc/{daemon.pid}/fd/{fd}"), "/dev/null")
        session = upstream.accept()
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.hangup()  # something to log
        session.send(b"whole")
        client.expect(b"whole")
        self.assertEqual(daemon.stop(), 0)

    def test_a_log_that_nobody_reads_does_not_stop_the_relay(self):
        directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(subprocess.run, ["rm", "-r", directory], check=False)
        path = os.path.join(directory, "log")
        os.mkfifo(path)
        with open(os.open(path, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as log:
            fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
            upstream = self.upstream()
            with local.Wrapped(self, f"#!/bin/sh\nexec {{ftcpd}} \"$@\" 2>{path}\n"):
                daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
            session, client = upstream.accept(), daemon.client()
            daemon.wait_clients(1)
            for _ in range(200):
                daemon.call("Reload")  # which is logged
            session.send(b"whole")
            client.expect(b"whole")
            self.assertNotIn(b"nobody took", log.read(1 << 20))
            daemon.call("Reload")
            said = harness.until(lambda: log.read(1 << 20), "the log to go on")
            self.assertRegex(said, rb"^log: nobody took \d+ lines, which are lost here\n.*reloaded\n")
            for _ in range(200):
                daemon.call("Reload")
            self.assertEqual(daemon.stop(), 0)

    def test_a_service_manager_that_does_not_listen_does_not_stop_the_relay(self):
        directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(subprocess.run, ["rm", "-r", directory], check=False)
        path = os.path.join(directory, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
            manager.bind(path)
            upstream = self.upstream()
            daemon = self.daemon(
                f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=50ms\nStableTime=0\n",
                env={"NOTIFY_SOCKET": path},
            )
            session, client = upstream.accept(), daemon.client()
            for _ in range(300):  # more words than wait in any socket
                daemon.call("Reload")
            session.reset()
            session = upstream.accept()
            daemon.wait_clients(1)
            session.send(b"whole")
            client.expect(b"whole")
            self.assertEqual(hear(manager)["READY"], "1")
            daemon.call("Reload")
            self.assertEqual(hear(manager)["READY"], "1")
            for _ in range(300):
                daemon.call("Reload")
            self.assertEqual(daemon.stop(), 0)

    def fails(self, *limits, env=None):
        """Starts ftcpd under these limits, which it must refuse with exit 1; returns what it said."""
        directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(subprocess.run, ["rm", "-r", directory], check=False)
        path = os.path.join(directory, "ftcpd.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                f"[Upstream]\nAddress=127.0.0.1:1\n[Local]\nSocket={directory}/data\n"
                f"[Control]\nSocket={directory}/varlink\n"
            )

        def limit():
            for which, value in limits:
                resource.setrlimit(which, (value, value))

        result = subprocess.run(
            [harness.program("ftcpd"), "--config", path],
            stderr=subprocess.PIPE,
            text=True,
            timeout=harness.DEADLINE,
            check=False,
            env={**os.environ, **(env or {})},
            preexec_fn=limit,
        )
        self.assertEqual(result.returncode, 1, result)
        return result.stderr

    def test_a_core_has_no_messages_and_not_all_that_is_reserved(self):
        daemon = self.daemon("[Upstream]\nAddress=127.0.0.1:1\n")
        dumped, whole, name, size = 0, 0, "", 0
        with open(f"/proc/{daemon.pid}/smaps", encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if "-" in words[0]:
                    name = line
                elif words[0] == "Size:":
                    size = int(words[1])
                elif words[0] == "VmFlags:" and "memfd" in name:
                    whole += size
                    dumped += size * ("dd" not in words)
        self.assertGreater(whole, 1 << 20)
        self.assertLess(dumped, 1 << 14, "more than 16 MiB would be dumped")

    def test_a_limit_of_file_sizes_is_told_and_no_death_by_a_signal(self):
        self.assertIn("LimitFSIZE=", self.fails((resource.RLIMIT_FSIZE, 1 << 20)))

    def test_a_limit_of_addresses_is_told(self):
        if subprocess.run(
            ["grep", "-q", "__asan_init", harness.program("ftcpd")], check=False
        ).returncode == 0:
            self.skipTest("a sanitizer needs more addresses than any limit")
        self.assertIn("LimitAS=", self.fails((resource.RLIMIT_AS, 1 << 30)))

    def test_a_host_that_allows_no_memfd_is_told(self):
        library = self.preload("../service/memfd.c")
        for error in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            said = self.fails(env={"LD_PRELOAD": library, "FTCPD_MEMFD": str(error)})
            self.assertIn(f"can't make the store: {os.strerror(error)}: ", said)
            self.assertIn("memfd_create() must be allowed, see SystemCallFilter= or the seccomp",
                          said)

    def test_a_limit_of_the_control_group_is_told_at_the_start(self):
        group, limit = self.group()
        upstream = self.upstream()
        with local.Wrapped(self, f"#!/bin/sh\necho $$ >{group}/below/cgroup.procs\n"
                                 "exec {ftcpd} \"$@\"\n"):
            daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
        said = daemon.wait_log(r"^.*control group.*$")[0]
        for words in ("48M", f"({limit})", "160M", "MemoryMax=", "--check-config"):
            self.assertIn(words, said)
        self.assertEqual(daemon.log.count("control group"), 1)
        with open(limit, "r+", encoding="ascii") as file:
            file.write(str(192 << 20))
        daemon.call("Reload")
        self.assertEqual(daemon.log.count("control group"), 1)
        daemon.reconfigure("[Delivery]\nHoldSize=1M\n")
        self.assertEqual(daemon.log.count("control group"), 2)
        self.assertEqual(daemon.stop(), 0)

    def group(self):
        """A control group with 48 MiB of memory and one below it; and the file of the limit."""
        for top, name in (("/sys/fs/cgroup", "memory.max"),
                          ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
            group = f"{top}/ftcpd-test-{os.getpid()}"
            if not os.path.exists(f"{top}/cgroup.procs"):
                continue
            try:
                os.makedirs(f"{group}/below")
                self.addCleanup(os.rmdir, group)
                self.addCleanup(os.rmdir, f"{group}/below")
                with open(f"{group}/{name}", "r+", encoding="ascii") as file:
                    file.write(str(48 << 20))
                return group, f"{group}/{name}"
            except OSError:
                continue
        raise unittest.SkipTest("no control group with a limit of memory can be made here")


class Volumes(harness.SystemTest):
    """The sockets' directory is on a volume that lacks something, or was another user's."""

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = os.path.join(self.directory, "sock")
        self.library = self.preload("volume.c")

    def start(self, lacks, more="", **options):
        env = {"LD_PRELOAD": self.library, "FTCPD_VOLUME": lacks}
        return self.daemon(
            f"[Upstream]\nAddress=127.0.0.1:1\n[Local]\nSocket={self.path}\n{more}",
            env=env, **options)

    def fails(self, reason, **options):
        daemon = self.start(wait=False, **options)
        self.assertEqual(daemon.wait_exit(), 1)
        self.assertRegex(daemon.log, reason)

    def check_serves(self, daemon, mode):
        self.assertEqual(stat.S_IMODE(os.lstat(self.path).st_mode), mode)
        with daemon.client():
            daemon.wait_clients(1)

    def test_a_volume_without_chmod_of_sockets_has_their_modes_all_the_same(self):
        for mode in (0o600, 0o666, 0o620):
            daemon = self.start("chmod", f"SocketMode={mode:04o}\n")
            self.check_serves(daemon, mode)
            self.assertNotIn("mode", daemon.log)
            self.assertEqual(daemon.stop(), 0)

    def test_a_volume_that_lets_more_people_in_than_the_mode_says_is_an_error(self):
        self.fails("can't set the mode of .*: Invalid argument", lacks="wide",
                   more="SocketMode=0660\n")
        self.assertFalse(os.path.exists(self.path))

    def test_a_volume_without_locks_is_a_warning_and_a_live_socket_is_in_use(self):
        daemon = self.start("flock")
        self.check_serves(daemon, 0o660)
        self.assertIn(f"{self.path}.lock can't be locked on this file system (No locks available)",
                      daemon.log)
        self.fails("in use: another program listens there", lacks="flock")
        daemon.kill()
        daemon.start()  # what it left is replaced
        self.check_serves(daemon, 0o660)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(os.listdir(self.directory), [])

    def leave(self):
        """What a killed ftcpd of user nobody leaves in a directory such as /tmp."""
        os.chmod(self.directory, 0o1777)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
        with open(self.path + ".lock", "wb"):
            pass
        for path in (self.path, self.path + ".lock"):
            os.chmod(path, 0o600)
            os.chown(path, NOBODY, NOBODY)

    @unittest.skipUnless(os.getuid() == 0, "root has the right to leave files of another user")
    def test_what_another_user_s_ftcpd_left_does_not_keep_root_out(self):
        self.leave()
        self.check_serves(self.start("protected"), 0o660)

    @unittest.skipUnless(os.getuid() == 0, "root has the right to leave files of another user")
    def test_whom_it_keeps_out_is_told_whose_file_it_is(self):
        self.leave()
        path = os.path.join(self.directory, "ftcpd.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[Upstream]\nAddress=127.0.0.1:1\n[Local]\nSocket={self.path}\n"
                       f"[Control]\nSocket={self.directory}/varlink\n")

        def told():
            result = subprocess.run([harness.program("ftcpd"), "--config", path], user=DAEMON,
                                    group=DAEMON, extra_groups=[], stderr=subprocess.PIPE,
                                    text=True, timeout=harness.DEADLINE, check=False)
            self.assertEqual(result.returncode, 1, result)
            return result.stderr

        owner = "belongs to another user, nobody: if no ftcpd of nobody runs, remove the file"
        self.assertRegex(told(), f"can't open {self.path}.lock: Permission denied: .*{owner}")
        os.unlink(self.path + ".lock")
        self.assertRegex(told(), f"can't tell whether somebody listens at {self.path}: .*{owner}")
        os.chmod(self.path, 0o666)
        self.assertRegex(told(), f"can't remove the stale {self.path}: .*{owner}")


class Sealed(ManagedTest):
    """What outlives ftcpd is memory that can never be executed, as a hardened host wants it."""

    def memfds(self, daemon):
        """Of each of its memfds: the name and the seals."""
        folder = f"/proc/{daemon.pid}/fd"
        for name in os.listdir(folder):
            try:
                target = os.readlink(f"{folder}/{name}")
            except OSError:
                continue  # it was closed meanwhile
            if target.startswith("/memfd:"):
                with open(f"{folder}/{name}", "rb") as file:
                    yield target.split()[0], fcntl.fcntl(file, F_GET_SEALS)

    def test_no_memfd_can_be_executed(self):
        fd = ctypes.CDLL(None).memfd_create(b"try", MFD_NOEXEC_SEAL)
        if fd < 0:
            self.skipTest("this kernel does not know MFD_NOEXEC_SEAL (Linux 6.3)")
        os.close(fd)
        daemon = self.daemon("[Upstream]\nAddress=127.0.0.1:1\n")
        found = dict(self.memfds(daemon))
        self.assertEqual(sorted(found), ["/memfd:ftcpd", "/memfd:ftcpd-config"])
        for name, seals in found.items():
            self.assertTrue(seals & F_SEAL_EXEC, name)
        daemon.crash()
        self.assertEqual(dict(self.memfds(daemon)), found)

    def test_a_kernel_that_does_not_know_the_flag_serves_too(self):
        class Older(Managed):
            library = self.preload("../service/memfd.c")

            def configure(self, config):
                super().configure(config)
                self.more_env = {"LD_PRELOAD": self.library, "FTCPD_MEMFD": str(errno.EINVAL)}

        self.daemon_class = Older
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
        session, client = upstream.accept(), daemon.client()
        daemon.wait_clients(1)
        daemon.crash()
        session.send(b"whole")
        client.expect(b"whole")
        self.assertNotIn("can't be kept", daemon.log)


if __name__ == "__main__":
    harness.main()

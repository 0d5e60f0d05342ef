# SPDX-License-Identifier: MIT
"""A process is started in odd surroundings: what it lacks is told, and harms nobody."""
import fcntl
import os
import resource
import socket
import subprocess
import tempfile

import harness
import local


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

    def fails(self, *limits):
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


if __name__ == "__main__":
    harness.main()

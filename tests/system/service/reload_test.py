# SPDX-License-Identifier: MIT
"""The configuration at start and at reload: all errors at once, all or nothing, quiet changes."""
import os
import socket
import subprocess
import tempfile
import time

import harness
import local

QUICK = "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=100ms\n"
PATIENT = f"[Service]\nStopTimeout={120 * harness.SLOW:.0f}s\n"  # nobody waits for so long


class Start(harness.SystemTest):
    def refused(self, *args, config=None):
        """Starts ftcpd, which must exit with 78; returns what it said."""
        directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(subprocess.run, ["rm", "-r", directory], check=False)
        path = os.path.join(directory, "ftcpd.conf")
        if config is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
        result = subprocess.run(
            [harness.program("ftcpd"), "--config", path, *args],
            capture_output=True,
            text=True,
            timeout=harness.DEADLINE,
            check=False,
        )
        self.assertEqual(result.returncode, 78, result)
        self.assertEqual(os.listdir(directory), ["ftcpd.conf"] if config is not None else [])
        return path, result.stderr

    def test_without_a_file_it_says_what_to_write_where(self):
        for args in ((), ("--check-config",)):
            path, text = self.refused(*args)
            self.assertIn(path, text)
            self.assertIn("Address=HOST:PORT", text)
            self.assertIn("[Upstream]", text)

    def test_a_check_reads_what_is_piped_to_it(self):
        for text, code in (("[Upstream]\nAddress=a:1\n", 0), ("[Upstream]\nAddress=a\n", 78)):
            result = subprocess.run(
                [harness.program("ftcpd"), "--check-config", "--config", "/dev/stdin"], input=text,
                capture_output=True, text=True, timeout=harness.DEADLINE, check=False)
            self.assertEqual(result.returncode, code, result)
            self.assertIn("/dev/stdin:2: [Upstream] Address" if code else
                          "/dev/stdin: the configuration is good", result.stdout + result.stderr)

    def test_a_configuration_from_a_pipe_cannot_be_reloaded_which_is_told(self):
        upstream = self.upstream()
        with local.Wrapped(self, '#!/bin/sh\nmkfifo "$2.pipe"\ncat "$2" >"$2.pipe" &\n'
                           'exec {ftcpd} --config "$2.pipe"\n'):
            daemon = self.daemon(f"{QUICK}Address={upstream.address}\n")
        session, client = upstream.accept(), daemon.client()
        daemon.wait_clients(1)
        code, _, error = daemon.ctl("reload")
        self.assertEqual(code, 1)
        self.assertRegex(error, r"\.pipe:1: the file can't be read: it is a pipe, which can't be read "
                                r"a second time \(a restart reads a new one\)")
        session.send(b"on")
        client.expect(b"on")

    def test_without_an_address_it_says_what_to_write_where(self):
        path, text = self.refused(config="[Service]\nLogLevel=info\n")
        self.assertRegex(text, r"\[Upstream\] Address: there is none, expected .*Address=HOST:PORT")
        self.assertIn(path, text)

    def test_all_errors_are_told_at_once_with_file_and_line(self):
        path, text = self.refused(
            config="[Upstream]\nAddress=nowhere\nReconnectDelay=soon\nthis is no line\n"
            "[Frame]\nType=lengthy\nMaxMessageSize=0\n[Service]\nLogLevel=loud\n"
        )
        for line, key in (
            (2, r"\[Upstream\] Address"),
            (3, r"\[Upstream\] ReconnectDelay"),
            (4, ".*"),
            (6, r"\[Frame\] Type"),
            (7, r"\[Frame\] MaxMessageSize"),
            (9, r"\[Service\] LogLevel"),
        ):
            self.assertRegex(text, f"(?m){path}:{line}: {key}")

    def test_a_delay_without_an_end_is_told_as_what_it_is(self):
        _, text = self.refused(config="[Upstream]\nAddress=[::1]:1\nReconnectDelayMax=infinity\n")
        self.assertIn('"infinity" is out of range, expected more than 0, and not infinity', text)
        _, text = self.refused(config="[Upstream]\nAddress=[::1]:1\nConnectTimeout=0\n")
        self.assertRegex(text, "(?m)expected more than 0$")

    def test_an_unknown_key_is_a_warning_with_the_nearest_name(self):
        upstream = self.upstream()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconectDelay=1s\n[Hearbeat]\nInterval=1s\n"
        )
        upstream.accept()
        self.assertRegex(daemon.log, r":3: .*ReconectDelay.*ReconnectDelay")
        self.assertRegex(daemon.log, r":4: .*Hearbeat.*Heartbeat")


class Reload(harness.SystemTest):
    def ctl(self, daemon):
        return subprocess.run(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "reload"],
            capture_output=True,
            text=True,
            timeout=harness.DEADLINE,
            check=False,
        )

    def setting(self, daemon, section, key):
        for setting in daemon.call("GetConfig")["settings"]:
            if (setting["section"], setting["key"]) == (section, key):
                return setting["value"]
        return None

    def test_a_good_file_is_applied_and_the_link_is_not_touched(self):
        upstream, daemon, session = self.linked("[Heartbeat]\nTimeout=20s\n")
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.configure(
            f"[Upstream]\nAddress={upstream.address}\n[Heartbeat]\nTimeout=30s\nInterval=50ms\n"
        )
        daemon.hangup()
        daemon.wait_log("the configuration was reloaded")
        self.assertEqual(self.setting(daemon, "Heartbeat", "Timeout"), "30s")
        before = session.skipped
        session.send(b"data")
        client.expect(b"data")
        client.send(b"data")
        session.expect(b"data")
        status = daemon.wait_status(lambda s: s["upstream"]["heartbeatsSent"] > 5, "heartbeats")
        self.assertEqual(status["upstream"]["heartbeatTimeoutUsec"], 30000000)
        self.assertEqual((status["upstream"]["connects"], status["clients"]), (1, 1))
        self.assertGreaterEqual(before, 0)

    def test_warnings_go_to_who_asked_for_the_reload(self):
        upstream, daemon, _ = self.linked()
        good = f"[Upstream]\nAddress={upstream.address}\n"
        daemon.configure(good + "ReconectDelay=1s\n")
        result = self.ctl(daemon)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertRegex(result.stderr, r"\Awarning: .*:3: .*ReconectDelay.*ReconnectDelay.*\n\Z")
        daemon.configure(good + "".join(f"Unknown{i}=\n" for i in range(20)))
        lines = self.ctl(daemon).stderr.splitlines()
        self.assertEqual((len(lines), lines[-1]), (9, "warning: 12 more are in the log"))
        daemon.configure(good)
        self.assertEqual(self.ctl(daemon).stderr, "")

    def test_a_bad_file_changes_nothing_and_ftcpctl_tells_the_errors(self):
        upstream, daemon, session = self.linked("[Heartbeat]\nTimeout=20s\n")
        daemon.configure(
            f"[Upstream]\nAddress={upstream.address}\n[Heartbeat]\nTimeout=5s\nInterval=often\n"
            "[Health]\nFlaps=-1\n"
        )
        result = self.ctl(daemon)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, rf"{daemon.config_path}:5: \[Heartbeat\] Interval: ")
        self.assertRegex(result.stderr, rf"{daemon.config_path}:7: \[Health\] Flaps: ")
        self.assertIn("what was in force stays so", daemon.log)
        self.assertRegex(daemon.log, rf"{daemon.config_path}:5: \[Heartbeat\] Interval: ")
        self.assertEqual(self.setting(daemon, "Heartbeat", "Timeout"), "20s")
        with self.assertRaises(harness.VarlinkError) as raised:
            daemon.call("Reload")
        self.assertEqual(raised.exception.name, "io.ftcpd.ConfigInvalid")
        self.assertEqual(len(raised.exception.parameters["errors"]), 2)
        os.remove(daemon.config_path)
        self.assertEqual(self.ctl(daemon).returncode, 1)
        session.send(b"data")
        self.assertEqual(daemon.wait_state("up")["upstream"]["connects"], 1)

    def test_another_frame_or_socket_is_refused_and_named(self):
        upstream, daemon, _ = self.linked("[Heartbeat]\nTimeout=3s\n")
        for text, name in (
            ("[Frame]\nLengthSize=2\n", "[Frame] LengthSize"),
            ("[Frame]\nType=delimiter\n", "[Frame] Type"),
            ("[Local]\nSocket=/tmp/ftcpd-elsewhere\n", "[Local] Socket"),
            (f"[Local]\nSocket={daemon.data_path}\nSocketMode=0600\n", "[Local] SocketMode"),
            ("[Control]\nSocket=/tmp/ftcpd-elsewhere\n", "[Control] Socket"),
        ):
            data, control = daemon.data_path, daemon.control_path
            daemon.configure(
                f"[Upstream]\nAddress={upstream.address}\n[Heartbeat]\nTimeout=9s\n{text}"
            )
            daemon.data_path, daemon.control_path = data, control
            result = self.ctl(daemon)
            self.assertEqual(result.returncode, 1, name)
            self.assertIn(f"only a restart can change {name}", result.stderr)
            self.assertEqual(self.setting(daemon, "Heartbeat", "Timeout"), "3s")
        self.assertEqual(daemon.status()["upstream"]["connects"], 1)

    def test_the_largest_message_may_change(self):
        upstream, daemon, session = self.linked("[Frame]\nMaxMessageSize=1K\n")
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\n[Frame]\nMaxMessageSize=1M\n")
        self.assertEqual(self.ctl(daemon).returncode, 0)
        session.send(bytes(100000))
        client.expect(bytes(100000))
        self.assertEqual(daemon.status()["upstream"]["connects"], 1)

    def move(self, daemon, upstream, config=""):
        daemon.configure(f"{QUICK}Address={upstream.address}\n{config}")
        daemon.hangup()
        daemon.wait_log("the configuration was reloaded")

    def test_another_address_closes_quietly_and_finishes_the_half_written_message(self):
        first, second = self.upstream(), self.upstream()
        first.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"{QUICK}Address={first.address}\n{PATIENT}")
        session = first.accept()
        daemon.wait_state("up")
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(3000000)) for i in range(2)]
        client.send(messages[0])
        client.send(messages[1])
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 2, "both")
        self.move(daemon, second, PATIENT)
        session.expect(messages[0])
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        session = second.accept()
        session.expect(messages[1])
        client.send(b"and more")
        session.expect(b"and more")
        session.send(b"hello")
        client.expect(b"hello")
        status = daemon.wait_state("up")
        self.assertEqual(status["upstream"]["address"], second.address)
        self.assertEqual(status["upstream"]["lastCause"], "operator")
        self.assertEqual(status["upstream"]["resent"]["messages"], 0)
        self.assertEqual((status["clients"], status["upstream"]["connects"]), (1, 2))

    def test_a_peer_that_does_not_read_delays_the_change_by_stop_timeout_only(self):
        first, second = self.upstream(), self.upstream()
        first.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"{QUICK}Address={first.address}\n")
        first.accept()
        daemon.wait_state("up")
        client = daemon.client()
        message = harness.stamp(1, 0, bytes(3000000))
        client.send(message)
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 1, "the message")
        self.move(daemon, second, "[Service]\nStopTimeout=500ms\n")
        second.accept().expect(message)
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual(status["resent"]["messages"], 1)

    def test_another_address_is_dialled_at_once_whatever_delay_is_due(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=30s\nReconnectDelayMax=30s\n"
        )
        daemon.wait_state("waiting")
        other = self.upstream()
        self.move(daemon, other)
        other.accept()
        self.assertEqual(daemon.wait_state("up")["upstream"]["address"], other.address)

    def test_reloads_at_every_moment_of_a_redial_harm_nothing(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=1ms\nReconnectDelayMax=1ms\n",
            env={"MALLOC_PERTURB_": "85"},  # freed memory is no configuration
        )
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for _ in range(20):
                daemon.hangup()
                time.sleep(0.0005)
            daemon.status()  # each signal is a reload: on a slow machine they would pile up
        daemon.check_alive()
        upstream.listen()
        upstream.accept()
        daemon.wait_state("up")

    @harness.in_time
    def test_a_reload_does_not_begin_a_dial_under_way_anew(self):
        # A backlog that is full: a third connection gets no answer.
        mute = self.upstream(backlog=0)
        full = [socket.socket() for _ in range(2)]
        for sock in full:
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex((mute.host, mute.port))
        upstream = self.upstream()
        daemon = self.daemon(
            f"[Upstream]\nAddress={mute.address}\nAddress={upstream.address}\nConnectTimeout=1s\n"
        )
        status = daemon.wait_state("connecting")
        self.assertEqual(status["upstream"]["address"], mute.address)
        harness.until(
            lambda: daemon.call("Reload") or daemon.status()["upstream"]["state"] == "connected",
            "the next address",
            interval=0.1,
        )
        self.assertEqual(daemon.status()["upstream"]["address"], upstream.address)

    def test_other_limits_hold_for_the_connection_that_stands(self):
        upstream, daemon, session = self.linked("[Heartbeat]\nTimeout=0\n", heartbeat=None)
        daemon.configure(
            f"{QUICK}Address={upstream.address}\n[Heartbeat]\nTimeout=300ms\nInterval=100ms\n"
        )
        daemon.hangup()
        self.assertEqual(session.expect_end(), "reset")
        daemon.wait_log("silent: no byte for")

    def test_what_is_expected_from_now_on_is_not_missed_from_before(self):
        _, daemon, session = self.linked(
            "PathTimeout=0\n[Heartbeat]\nTimeout=0\nInterval=0\n", heartbeat=None
        )
        daemon.wait_status(lambda s: s["upstream"]["silentUsec"] > 2200000, "no probe for long")
        daemon.reconfigure("[Upstream]\nPathTimeout=2s\n")
        time.sleep(0.3)
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)
        daemon.wait_status(lambda s: s["upstream"]["silentUsec"] > 2200000, "no byte for long")
        daemon.reconfigure("[Heartbeat]\nTimeout=2s\nInterval=100ms\n")
        time.sleep(0.3)
        session.heartbeat(0.1)
        daemon.wait_status(lambda s: s["upstream"]["silentUsec"] < 200000, "bytes again")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)


if __name__ == "__main__":
    harness.main()

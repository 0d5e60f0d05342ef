# SPDX-License-Identifier: MIT
"""What monitoring gets: Prometheus text that holds what the manual lists, and what is made of it."""
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import unittest

import harness
from harness import TOP, until

CONTRIB = os.path.join(TOP, "contrib")
MANUAL = os.path.join(TOP, "man", "ftcpd-metrics.7")
SAMPLE = re.compile(r'^(ftcpd_\w+)\{(\w+="(?:[^"\\]|\\.)*"(?:,\w+="(?:[^"\\]|\\.)*")*)\} (\S+)$')
OF_HISTOGRAM = ("_bucket", "_sum", "_count")
STATES = {"resolving", "connecting", "handshaking", "greeting", "up", "waiting", "held", "stopping"}


def samples(text):
    """{(name, label, ...): value}, the labels as in the text but for `link`."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        if not match:
            raise AssertionError(f"no sample: {line}")
        labels = [part for part in match[2].split(",") if not part.startswith("link=")]
        key = (match[1], *labels)
        if key in found:
            raise AssertionError(f"twice: {line}")
        found[key] = float(match[3])
    return found


def families(text):
    """{name: its labels}, where those of a histogram count once."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    found = {}
    for name, *labels in samples(text):
        for end in OF_HISTOGRAM:
            if kinds.get(name.removesuffix(end)) == "histogram":
                name = name.removesuffix(end)
        names = {label.partition("=")[0] for label in labels} - {"le"}
        found.setdefault(name, set()).update(names)
    return found


def listed():
    """The same, as the manual has it."""
    with open(MANUAL, encoding="utf-8") as file:
        entries = re.findall(r"^\.It Li (ftcpd_\w+)(?:\{([\w,]+)\})?$", file.read(), re.M)
    return {name: set(labels.split(",")) - {""} for name, labels in entries}


def ctl(*args, **options):
    options = {"timeout": harness.DEADLINE, **options}
    return subprocess.run([harness.program("ftcpctl"), *args], capture_output=True, text=True,
                          check=False, **options)


def promtool(*args, **options):
    harness.need("promtool")
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, check=False,
                          timeout=harness.DEADLINE * 4, **options)
    if done.returncode or done.stderr.strip():
        raise AssertionError(f"promtool {' '.join(args)}: {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")


class Metrics(harness.SystemTest):
    def text(self, daemon):
        done = ctl("--socket", daemon.control_path, "metrics")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def busy(self, config=""):
        """A daemon that has seen something of everything."""
        upstream, daemon, session = self.linked(f"[Heartbeat]\nInterval=50ms\n{config}")
        session.send(b"nobody there")
        daemon.wait_status(lambda s: s["toClients"]["accepted"]["messages"] == 1, "a drop")
        client = daemon.client()
        daemon.wait_clients(1)
        client.send(b"one", b"two")
        session.expect(b"one", b"two")
        session.send(b"three")
        client.expect(b"three")
        daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 2, "delivery")
        until(lambda: daemon.call("GetLatency")["histograms"][0]["count"], "a heartbeat's answer")
        return upstream, daemon, session

    def test_prometheus_has_no_complaint(self):
        _, daemon, _ = self.busy()
        promtool("check", "metrics", input=self.text(daemon))

    def test_every_metric_is_in_the_manual_with_its_labels_and_none_is_missing(self):
        _, daemon, session = self.busy()
        self.assertEqual(families(self.text(daemon)), listed())
        # Where there is no connection, nothing is new.
        self.upstreams[0].refuse()
        session.reset()
        daemon.wait_state("waiting")
        absent = {"ftcpd_silent_seconds", "ftcpd_rtt_seconds"}
        self.assertEqual(listed().keys() - families(self.text(daemon)).keys(), absent)

    def test_the_text_says_what_the_status_says(self):
        _, daemon, session = self.busy()
        found, status = samples(self.text(daemon)), daemon.status()
        up = status["upstream"]
        self.assertEqual(found["ftcpd_up",], 1)
        for state in STATES:
            self.assertEqual(found["ftcpd_link_state", f'state="{state}"'], state == "up")
        self.assertEqual(found["ftcpd_received_messages_total",], up["received"]["messages"])
        self.assertEqual(found["ftcpd_received_bytes_total",], up["received"]["bytes"])
        self.assertEqual(found["ftcpd_sent_messages_total",], 2)
        self.assertEqual(found["ftcpd_clients",], 1)
        self.assertEqual(found["ftcpd_clients_accepted_total",], 1)
        self.assertEqual(found["ftcpd_connects_total",], 1)
        for direction, books in (("to_upstream", status["toUpstream"]),
                                 ("to_clients", status["toClients"])):
            of = f'direction="{direction}"'
            for unit, kind in (("messages", "messages"), ("bytes", "bytes")):
                for book in ("accepted", "delivered"):
                    self.assertEqual(found[f"ftcpd_{unit}_total", of, f'book="{book}"'],
                                     books[book][kind])
            self.assertEqual(found["ftcpd_queue_messages", of], books["queued"]["messages"])
            self.assertEqual(found["ftcpd_queue_limit_bytes", of], books["limitBytes"])
        self.assertEqual(
            found["ftcpd_drops_total", 'direction="to_clients"', 'reason="no_client"'], 1)
        self.assertEqual(
            found["ftcpd_messages_total", 'direction="to_clients"', 'book="dropped"'], 1)
        session.send(b"and one more")
        daemon.wait_status(lambda s: s["upstream"]["received"]["messages"] == 3, "it")
        self.assertEqual(samples(self.text(daemon))["ftcpd_received_messages_total",], 3)

    def test_a_histogram_is_one(self):
        _, daemon, _ = self.busy()
        found = samples(self.text(daemon))
        known = {h["name"]: h["count"] for h in daemon.call("GetLatency")["histograms"]}
        for kind in ("heartbeat", "rtt", "to_clients", "to_upstream"):
            of = f'kind="{kind}"'
            buckets = [value for key, value in found.items()
                       if key[:2] == ("ftcpd_latency_seconds_bucket", of)]
            self.assertEqual(buckets, sorted(buckets))
            count = found["ftcpd_latency_seconds_count", of]
            self.assertEqual(buckets[-1], count)
            self.assertLessEqual(count, known[kind.replace("_", "-")])
            self.assertGreaterEqual(found["ftcpd_latency_seconds_sum", of], 0)
        self.assertEqual(found["ftcpd_latency_seconds_count", 'kind="to_upstream"'], 2)
        self.assertEqual(found["ftcpd_latency_seconds_count", 'kind="to_clients"'], 1)

    def test_losses_and_failed_attempts_are_counted_by_their_cause(self):
        upstream, daemon, session = self.linked("[Upstream]\nReconnectDelay=10ms\n"
                                                "ReconnectDelayMax=20ms\n")
        session.close()
        second = upstream.accept()
        daemon.wait_state("up")
        second.reset()
        third = upstream.accept()
        daemon.wait_state("up")
        upstream.refuse()
        third.send_raw(b"GET / HTTP/1.1\r\n\r\n")

        def counted():
            found = samples(self.text(daemon))
            return found if found["ftcpd_connect_failures_total", 'cause="refused"'] else None

        found = until(counted, "a refused attempt")
        lost = {key[1]: value for key, value in found.items()
                if key[0] == "ftcpd_disconnects_total" and value}
        self.assertEqual(sum(lost.values()), daemon.status()["upstream"]["disconnects"])
        self.assertEqual(lost.pop('cause="framing"'), 1)
        self.assertLessEqual(lost.keys(), {'cause="closed"', 'cause="reset"'})
        self.assertEqual(sum(lost.values()), 2)
        self.assertEqual(found["ftcpd_up",], 0)

    def test_without_an_instance_the_link_has_the_name_of_the_daemon(self):
        _, daemon, _ = self.linked()
        text = self.text(daemon)
        self.assertEqual(text.count('{link="ftcpd"'), len(samples(text)))

    def test_as_json_it_is_the_reply(self):
        _, daemon, _ = self.linked()
        done = ctl("--socket", daemon.control_path, "--json=short", "metrics")
        self.assertIn("ftcpd_up{", json.loads(done.stdout)["text"])


class Output(harness.SystemTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.path = folder.name, os.path.join(folder.name, "ftcpd.prom")

    def write(self, daemon, *more, **options):
        return ctl("--socket", daemon.control_path, "metrics", "--output", self.path, *more,
                   **options)

    def read(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def test_a_reader_finds_the_old_text_or_the_new_one_and_may_read_it(self):
        _, daemon, _ = self.linked()
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("old\n")
        with open(self.path, encoding="utf-8") as before:
            os.chmod(self.path, 0o644)
            done = self.write(daemon, umask=0o077)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assertEqual(before.read(), "old\n")  # another file, not this one cut short
        self.assertIn('ftcpd_up{link="ftcpd"} 1\n', self.read())
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o644)
        self.assertEqual(os.listdir(self.folder), ["ftcpd.prom"])

    def test_a_file_in_the_working_directory_needs_no_path(self):
        _, daemon, _ = self.linked()
        done = ctl("--socket", daemon.control_path, "metrics", "--output", "here.prom",
                   cwd=self.folder)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(os.listdir(self.folder), ["here.prom"])

    def test_what_cannot_be_written_is_told_and_leaves_nothing_behind(self):
        _, daemon, _ = self.linked()
        os.mkdir(self.path)
        done = self.write(daemon)
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.path, done.stderr)
        self.assertEqual(os.listdir(self.folder), ["ftcpd.prom"])
        self.path = os.path.join(self.folder, "none", "ftcpd.prom")
        self.assertEqual(self.write(daemon).returncode, 1)

    def test_what_is_no_file_is_written_to_and_stays_what_it_is(self):
        _, daemon, _ = self.linked()
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.assertEqual(self.write(daemon).returncode, 0)
        self.assertIn(b'ftcpd_up{link="ftcpd"} 1\n', os.read(reader, 1 << 20))
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.path).st_mode))
        self.assertEqual(os.listdir(self.folder), ["ftcpd.prom"])
        self.path = "/dev/full"
        self.assertEqual(self.write(daemon).returncode, 1)
        self.assertTrue(stat.S_ISCHR(os.lstat(self.path).st_mode))

    def test_standard_output_has_a_name_and_a_dash(self):
        _, daemon, _ = self.linked()
        for self.path in ("-", "/dev/stdout"):
            done = self.write(daemon, cwd=self.folder)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("ftcpd_up", done.stdout)
        # A file that whoever started us holds open is not taken away from him.
        with open(os.path.join(self.folder, "held"), "w+", encoding="utf-8") as file:
            subprocess.run([harness.program("ftcpctl"), "--socket", daemon.control_path, "metrics",
                            "--output=/dev/stdout"], stdout=file, check=True)
            file.seek(0)
            self.assertIn("ftcpd_up", file.read())
        self.assertEqual(os.listdir(self.folder), ["held"])

    def test_a_link_stays_and_the_file_behind_it_is_replaced_whole(self):
        _, daemon, _ = self.linked()
        real = os.path.join(self.folder, "real")
        os.symlink("real", self.path)
        options = {"umask": 0o077}
        if os.geteuid() == 0:  # root follows none
            os.chmod(daemon.directory, 0o755)
            os.chown(self.folder, 1234, 1234)
            os.lchown(self.path, 1234, 1234)
            options |= {"user": 1234, "group": 1234, "extra_groups": []}
        for before in (None, "old\n"):
            if before:
                with open(real, "w", encoding="utf-8") as file:
                    file.write(before)
            with contextlib.ExitStack() as stack:
                held = stack.enter_context(open(real, encoding="utf-8")) if before else None
                self.assertEqual(self.write(daemon, **options).returncode, 0)
                self.assertEqual(held.read() if held else None, before)
            self.assertEqual(os.readlink(self.path), "real")
            self.assertIn("ftcpd_up", self.read())
            self.assertEqual(os.stat(real).st_mode & 0o777, 0o600)
        self.assertEqual(sorted(os.listdir(self.folder)), ["ftcpd.prom", "real"])

    def test_who_may_read_the_file_stays_so(self):
        _, daemon, _ = self.linked()
        with open(self.path, "w", encoding="utf-8"):
            os.chmod(self.path, 0o640)
        if os.geteuid() == 0:
            os.chown(self.path, 1, 2)
        before = os.stat(self.path)
        self.assertEqual(self.write(daemon).returncode, 0)
        after = os.stat(self.path)
        self.assertNotEqual(after.st_ino, before.st_ino)
        self.assertEqual((after.st_mode, after.st_uid, after.st_gid),
                         (before.st_mode, before.st_uid, before.st_gid))

    def test_what_could_not_be_printed_is_not_done(self):
        _, daemon, _ = self.linked()
        for verb in (["metrics"], ["status"], ["config"], ["-j", "clients"], ["--help"],
                     ["--version"]):
            with self.subTest(verb=verb), open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([harness.program("ftcpctl"), "--socket", daemon.control_path,
                                       *verb], stdout=full, stderr=subprocess.PIPE, text=True,
                                      check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("stdout: ", done.stderr)

    def test_a_daemon_that_hangs_is_not_up_and_a_monitor_hears_it_in_time(self):
        _, daemon, _ = self.linked()
        self.assertEqual(self.write(daemon).returncode, 0)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            # 10 s are what a monitor, and TimeoutStartSec= of the unit, have for it.
            limited = {"timeout": 10 * harness.SLOW}
            done = self.write(daemon, **limited)
            self.assertEqual(done.returncode, 3)
            self.assertEqual(samples(self.read()), {("ftcpd_up",): 0})
            self.assertIn("# ftcpd hangs", self.read())
            promtool("check", "metrics", input=self.read())
            for verb, code in ((["health"], 2), (["flush", "--timeout=100ms"], 3),
                               (["wait", "--timeout=100ms"], 1)):
                with self.subTest(verb=verb):
                    done = ctl("--socket", daemon.control_path, *verb, **limited)
                    self.assertEqual(done.returncode, code)
                    self.assertIn("does not answer", done.stdout + done.stderr)
            # So does whoever would wait for ever for what comes.
            tool = [harness.program("ftcpctl"), "--socket", daemon.control_path]
            waiting = [self.spawn([*tool, *verb], stdout=-1, stderr=-1, text=True)
                       for verb in (["call", "Status"], ["call", "--more", "Monitor"],
                                    ["tap", "-n", "1"], ["top", "-n", "1"])]
            for one in waiting:
                out, err = one.communicate(**limited)
                self.assertEqual((one.returncode, out), (3, ""), one.args)
                self.assertIn("does not answer", err)
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)

    def test_where_there_is_only_no_place_the_file_stays_as_it_is(self):
        path = os.path.join(self.folder, "varlink")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.listen()

        def hang_up():
            for _ in range(2):
                listener.accept()[0].close()

        with open(self.path, "w", encoding="utf-8") as file:
            file.write("old\n")
        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        done = ctl("--socket", path, "metrics", "--output", self.path)
        thread.join(harness.DEADLINE)
        self.assertEqual(done.returncode, 3)
        self.assertIn("MaxClients", done.stderr)
        self.assertEqual(self.read(), "old\n")

    def test_without_a_daemon_the_file_says_that_it_is_not_up_and_nothing_that_was(self):
        _, daemon, _ = self.linked()
        self.assertEqual(self.write(daemon).returncode, 0)
        daemon.stop()
        done = self.write(daemon)
        self.assertEqual(done.returncode, 3)
        self.assertIn(daemon.control_path, done.stderr)
        self.assertEqual(samples(self.read()), {("ftcpd_up",): 0})
        promtool("check", "metrics", input=self.read())
        self.assertEqual(self.write(daemon, "--instance", "feed").returncode, 3)
        self.assertIn('ftcpd_up{link="feed"} 0\n', self.read())


class Contrib(unittest.TestCase):
    @staticmethod
    def expressions():
        with open(os.path.join(CONTRIB, "ftcpd-dashboard.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]

    def names(self, text):
        return {name if name in listed() else re.sub(r"_(bucket|sum|count)$", "", name)
                for name in re.findall(r"\bftcpd_\w+", text)}

    def test_the_alert_rules_do_what_their_tests_say(self):
        promtool("check", "rules", os.path.join(CONTRIB, "ftcpd-alerts.yml"))
        promtool("test", "rules", "ftcpd-alerts_test.yml", cwd=CONTRIB)

    def test_every_alert_has_a_test_in_which_it_fires(self):
        with open(os.path.join(CONTRIB, "ftcpd-alerts.yml"), encoding="utf-8") as file:
            alerts = set(re.findall(r"- alert: (\w+)", file.read()))
        with open(os.path.join(CONTRIB, "ftcpd-alerts_test.yml"), encoding="utf-8") as file:
            fires = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", file.read()))
        self.assertEqual(alerts, fires)

    def test_rules_and_dashboard_ask_only_for_what_there_is(self):
        with open(os.path.join(CONTRIB, "ftcpd-alerts.yml"), encoding="utf-8") as file:
            rules = "".join(re.findall(r"^ +expr: (.*\n)", file.read(), re.M))
        for text in (rules, *self.expressions()):
            with self.subTest(text=text):
                names = self.names(text)
                self.assertTrue(names)
                self.assertLessEqual(names, listed().keys())

    def test_prometheus_understands_what_the_dashboard_asks(self):
        harness.need("promtool")
        rules = [{"record": f"dashboard:{number}",
                  "expr": text.replace("$__rate_interval", "5m").replace("$link", ".*")}
                 for number, text in enumerate(self.expressions())]
        self.assertGreater(len(rules), 20)
        with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            promtool("check", "rules", file.name)


if __name__ == "__main__":
    harness.main()

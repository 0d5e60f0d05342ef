# SPDX-License-Identifier: MIT
"""What ftcpd tells as events: the link, clients, drops, reloads, its own life; to whom and how often."""
import json
import random
import re
import select
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import harness
from harness import SLOW, until
from local import BooksWatch, check_books, dropped, wait_listed
from manager import ManagedTest

KIB = b"k" * 1024
BAD = "[Upstream]\nConnectTimeout=" + "never " * 60 + "\n"


def recent(daemon, kind=None):
    """The events that the daemon keeps, perhaps of one kind."""
    events = daemon.call("RecentEvents")["events"]
    numbers = [event["seq"] for event in events]
    if numbers != list(range(numbers[-1] - len(numbers) + 1, numbers[-1] + 1)):
        raise AssertionError(f"the numbers are not in order: {numbers}")
    return [event for event in events if kind in (None, event["kind"])]


def wait_event(daemon, kind, pattern, timeout=None):
    """Until an event of this kind is kept whose text matches; returns the last such."""

    def look():
        found = [e for e in recent(daemon, kind) if re.search(pattern, e["text"])]
        return found[-1] if found else None

    try:
        return until(look, f"an event {kind} '{pattern}'", timeout)
    except AssertionError:
        raise AssertionError(f"no event {kind} '{pattern}' in {recent(daemon)}") from None


class Monitor:
    """A call of Monitor and what it is told."""

    def __init__(self, daemon, **parameters):
        self.varlink = harness.Varlink(daemon.control_path)
        self.varlink.send({"method": "io.ftcpd.Monitor", "more": True, "parameters": parameters})

    def next(self):
        """The next event; None at the end."""
        reply = self.varlink.recv()
        if reply is None:
            return None
        if "error" in reply or not reply["continues"]:
            raise AssertionError(f"no event: {reply}")
        return reply["parameters"]["event"]

    def until(self, kind, pattern):
        """All events up to one of this kind whose text matches."""
        events = []
        while not (events and events[-1]["kind"] == kind and re.search(pattern, events[-1]["text"])):
            events.append(self.next())
            if events[-1] is None:
                raise AssertionError(f"no event {kind} '{pattern}' before the end: {events}")
        return events

    def rest(self):
        """All events up to the end."""
        return list(iter(self.next, None))


class Events(harness.SystemTest):
    def monitor(self, daemon, **parameters):
        monitor = Monitor(daemon, **parameters)
        self.addCleanup(monitor.varlink.close)
        return monitor

    def from_now_on(self, daemon):
        """A monitor that is known to be served: it has been told the last event of the link."""
        monitor = self.monitor(daemon)
        monitor.next()
        return monitor

    # The link.

    def test_a_cut_and_the_recovery_are_told_step_by_step(self):
        upstream, daemon, session = self.linked()
        up = daemon.status()["upstream"]
        monitor = self.monitor(daemon)
        first = monitor.next()
        self.assertEqual((first["kind"], first["state"], first["cause"]), ("link", "up", "none"))
        self.assertIn(up["peer"], first["text"])
        session.reset()
        upstream.accept()
        steps = monitor.until("link", r"^connected to .*\d$")
        self.assertEqual([(e["kind"], e["state"], e["cause"]) for e in steps],
                         [("link", "waiting", "reset"), ("link", "connecting", "none"),
                          ("link", "connected", "none"), ("link", "up", "none")])
        self.assertEqual([e["seq"] for e in steps], [first["seq"] + n for n in (1, 2, 3, 4)])
        self.assertEqual(recent(daemon, "link")[-4:], steps)
        self.assertLess(abs(steps[-1]["timeUsec"] / 1e6 - time.time()), 60 * SLOW)

    def test_each_of_many_failures_is_an_event_though_the_log_sums_them_up(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=20ms\n"
                             "ReconnectDelayMax=20ms\n")
        refused = until(lambda: [e for e in recent(daemon, "link") if e["cause"] == "refused"][4:],
                        "five failures to be told")
        self.assertTrue(all(e["state"] == "waiting" for e in refused))
        self.assertEqual(len(re.findall("link: refused", daemon.log)), 1)

    def test_a_reload_that_redials_says_why_it_closed(self):
        upstream, daemon, _ = self.linked()
        monitor = self.from_now_on(daemon)
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\nSourceAddress=127.0.0.1\n")
        daemon.call("Reload")
        events = monitor.until("link", "^connected to")
        self.assertIn(("waiting", "operator"),
                      [(e["state"], e["cause"]) for e in events if e["kind"] == "link"])

    # Who follows.

    def test_without_a_history_the_last_event_of_the_link_comes_as_it_was(self):
        _, daemon, _ = self.linked()
        daemon.client()
        wait_event(daemon, "client", "connected")
        last = recent(daemon, "link")[-1]
        monitor = self.monitor(daemon)
        self.assertEqual(monitor.next(), last)
        daemon.client()
        event = monitor.next()
        self.assertEqual((event["kind"], event["clientId"]), ("client", 2))

    def test_a_history_is_the_last_events_and_none_is_none(self):
        _, daemon, _ = self.linked()
        daemon.client()
        wait_event(daemon, "client", "connected")
        kept = recent(daemon)
        none, two, all_ = (self.monitor(daemon, history=n) for n in (0, 2, 1000))
        self.assertEqual([two.next(), two.next()], kept[-2:])
        self.assertEqual([all_.next() for _ in kept], kept)

        # Nothing says when the one that is told nothing is served: it is when it is told of one.
        def told():
            daemon.call("Reload")
            return select.select([none.varlink.sock], [], [], 0.1)[0]

        until(told, "it to be told what happens")
        later = [two.next()]
        event = none.next()
        while later[-1]["seq"] < event["seq"]:
            later.append(two.next())
        self.assertEqual(later[-1], event)
        self.assertEqual([all_.next() for _ in later], later)
        self.assertEqual(later[0]["seq"], kept[-1]["seq"] + 1)

    def test_a_slow_reader_gets_a_gap_and_the_daemon_holds_no_more(self):
        _, daemon, _ = self.linked()
        slow, good = self.from_now_on(daemon), self.from_now_on(daemon)
        daemon.call("Reload")
        begin = slow.next()
        self.assertEqual(good.next(), begin)
        daemon.configure(BAD)
        count = 8000
        with harness.Varlink(daemon.control_path) as asks:
            for n in range(1, count + 1):
                asks.send({"method": "io.ftcpd.Reload"})
                self.assertEqual(asks.recv()["error"], "io.ftcpd.ConfigInvalid")
                self.assertEqual(good.next()["seq"], begin["seq"] + n)
        seq, gaps = begin["seq"], []
        while seq < begin["seq"] + count:
            event = slow.next()
            if event["kind"] == "gap":
                gaps.append(event["missed"])
                seq += event["missed"]
            else:
                seq += 1
            self.assertEqual(event["seq"], seq)
        self.assertEqual(len(gaps), 1)
        # A MiB, what the kernel takes, and the 256 that are kept, at no less than 400 bytes each.
        self.assertGreater(gaps[0], count - 256 - (1 << 20) // 400 - (1 << 19) // 400)

    def test_whoever_reads_at_whatever_pace_is_told_of_each_event_or_how_many_it_missed(self):
        """Reloads that work and reloads that do not; one only reads when all is over."""
        seed = harness.seed()
        print(f"seed {seed}")
        _, daemon, _ = self.linked()
        with open(daemon.config_path, encoding="utf-8") as file:
            works = file.read()
        monitors = [self.from_now_on(daemon) for _ in range(5)]
        begin, last, done = recent(daemon)[-1]["seq"], None, threading.Event()
        sums = [[0, 0] for _ in monitors]

        def follow(monitor, total, pace):
            rng, seq = random.Random(seed + pace), begin
            if pace == len(monitors) - 1:
                done.wait()
            while last is None or seq < last:
                event = monitor.next()
                gap = event["kind"] == "gap"
                total[gap] += event["missed"] if gap else 1
                seq += event["missed"] if gap else 1
                if event["seq"] != seq:
                    raise AssertionError(f"{event} instead of {seq}")
                if rng.randrange(1000) < pace:
                    done.wait(rng.random() / 2)

        with ThreadPoolExecutor() as pool:
            followers = [pool.submit(follow, *pair, pace)
                         for pace, pair in enumerate(zip(monitors, sums))]
            with harness.Varlink(daemon.control_path) as asks:
                for number in range(6000):
                    if number % 500 == 0:
                        daemon.configure(works if number % 1000 else BAD)
                    asks.send({"method": "io.ftcpd.Reload"})
                    asks.recv()
                # Now nothing happens any more; a last one wakes those who wait for more.
                last = recent(daemon)[-1]["seq"] + 1
                asks.send({"method": "io.ftcpd.Reload"})
                asks.recv()
            done.set()
            for follower in followers:
                follower.result()
        self.assertEqual(recent(daemon)[-1]["seq"], last)
        print("told and missed:", sums)
        self.assertEqual([sum(total) for total in sums], [last - begin] * len(sums))
        self.assertGreater(sums[-1][1], 0)

    # Drops.

    def down(self, delivery):
        """A daemon whose link is down, and a client."""
        upstream, daemon, session = self.linked(f"[Delivery]\n{delivery}\n")
        client = daemon.client()
        daemon.wait_clients(1)
        upstream.refuse()
        session.reset()
        daemon.wait_state("waiting")
        return daemon, client

    def test_drops_are_told_at_once_and_the_rest_with_their_number(self):
        daemon, client = self.down("WhenDown=discard")
        monitor = self.from_now_on(daemon)
        begin = time.monotonic()
        for _ in range(300):
            client.send(KIB)
        first = [e for e in monitor.until("drop", "link_down") if e["kind"] == "drop"]
        self.assertRegex(first[0]["text"], r"^to the upstream: \d+ messages? (?:was|were) dropped")
        status = check_books(daemon.wait_status(
            lambda s: dropped(s, "toUpstream", "link_down") == 300, "300 drops"))
        self.assertEqual(dropped(status, "toUpstream", "link_down"), 300)
        daemon.process.send_signal(signal.SIGTERM)
        told = first + [e for e in monitor.rest() if e["kind"] == "drop"]
        self.assertEqual(sum(e["messages"] for e in told), 300)
        # One at first, one in ten seconds, and one at the end.
        self.assertLessEqual(len(told), 2 + (time.monotonic() - begin) / 10)
        self.assertEqual(daemon.wait_exit(), 0)

    def test_drops_that_go_on_are_told_again_after_ten_seconds(self):
        daemon, client = self.down("WhenDown=discard")
        monitor = self.from_now_on(daemon)
        client.send(KIB)
        first = monitor.until("drop", "link_down")[-1]
        client.send(KIB)
        client.send(KIB)
        monitor.varlink.sock.settimeout(30 * SLOW)
        second = monitor.until("drop", "link_down")[-1]
        self.assertEqual((first["messages"], second["messages"]), (1, 2))
        self.assertGreater(second["timeUsec"] - first["timeUsec"], 9_000_000)

    def test_what_comes_for_nobody_is_told_too(self):
        _, daemon, session = self.linked()
        session.send(b"a")
        event = wait_event(daemon, "drop", r"to clients: 1 message was dropped \(no_client\)")
        self.assertEqual(event["messages"], 1)
        daemon.wait_log(re.escape(event["text"]))

    def test_what_does_not_fit_is_told_as_a_loss_that_nobody_chose(self):
        _, daemon, session = self.linked("[Delivery]\nHoldSize=4K\n")
        session.send(*[KIB] * 20)
        wait_event(daemon, "drop", r"to clients: \d+ messages? (?:was|were) dropped \(hold_full\)")
        _, daemon, session = self.linked("[Delivery]\nClientQueueSize=64K\nSlowClient=drop\n")
        daemon.client()
        daemon.wait_clients(1)
        session.send(*[KIB] * 2000)
        wait_event(daemon, "drop", r"to clients: \d+ messages? (?:was|were) dropped \(queue_full\)")
        self.assertEqual(daemon.status()["health"], "warning")

    def test_a_client_that_is_cut_off_and_its_messages_are_told(self):
        _, daemon, session = self.linked(
            "[Delivery]\nClientQueueSize=64K\nSlowClientGrace=100ms\n")
        daemon.client()
        daemon.wait_clients(1)
        with BooksWatch(daemon):
            session.send(*[KIB] * 1000)
            event = wait_event(daemon, "client", "is disconnected: too slow: .*SlowClientGrace=")
        self.assertRegex(event["text"], r"; \d+ messages that waited for it are dropped$")
        self.assertEqual(event["clientId"], 1)
        wait_event(daemon, "drop", r"to clients: \d+ messages? (?:was|were) dropped \(queue_full\)")

    # Clients.

    def test_clients_come_are_refused_and_go(self):
        _, daemon, _ = self.linked("[Local]\nMaxClients=1\n")
        client = daemon.client()
        event = wait_event(daemon, "client", r"^client 1 \(.*pid \d+, uid \d+\) connected$")
        self.assertEqual(event["clientId"], 1)
        daemon.client().expect_end()
        self.assertNotIn("clientId", wait_event(daemon, "client", "refused: MaxClients="))
        client.send_raw(b"\0\0\0\7abc")
        wait_listed(daemon, lambda c: "partial" in c, "a part of a message")
        client.close()
        event = wait_event(daemon, "client", "client 1 .*is gone: closed")
        self.assertIn("7 bytes that it sent were no whole message", event["text"])

    def test_a_crowd_of_clients_does_not_push_everything_else_out(self):
        _, daemon, _ = self.linked()
        monitor, begin = self.from_now_on(daemon), time.monotonic()
        for n in range(200):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.connect(daemon.data_path)
                daemon.wait_status(lambda s, n=n: s["clientsAccepted"] == n + 1, "it to come")
            daemon.wait_clients(0)
        kept = recent(daemon)
        self.assertEqual((kept[0]["seq"], kept[0]["kind"]), (1, "service"))
        # Some are told one by one in any ten seconds.
        self.assertLess(len(kept), 30 + 20 * (time.monotonic() - begin) / 10)
        self.assertIn("from here on they are counted", [e for e in kept if e["kind"] == "client"]
                      [16]["text"])
        # Nobody is forgotten: those that are counted are told when they are old, or at the end.
        daemon.process.send_signal(signal.SIGTERM)
        events = [e["text"] for e in monitor.rest() if e["kind"] == "client"]
        singles = sum("connected" in text or "is gone" in text for text in events)
        counted = [re.match(r"clients came or went (\d+) times more within", t) for t in events]
        self.assertEqual(singles + sum(int(m[1]) for m in counted if m), 400, events)

    # Reload and life.

    def test_a_reload_is_told_and_what_it_was_refused_for(self):
        upstream, daemon, _ = self.linked()
        daemon.call("Reload")
        wait_event(daemon, "reload", "^the configuration was reloaded$")
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\nPathTimeout=x\nStallTimeout=y\n")
        daemon.hangup()
        wait_event(daemon, "reload", "not reloaded, what was in force stays so: 2 errors, the first is .*:3:")

    def test_the_daemon_tells_its_beginning_and_its_end(self):
        _, daemon, _ = self.linked()
        begin = recent(daemon)[0]
        self.assertEqual((begin["seq"], begin["kind"]), (1, "service"))
        self.assertRegex(begin["text"], rf"^ftcpd \S+ started, pid {daemon.pid}$")
        monitor = self.from_now_on(daemon)
        other = self.monitor(daemon, history=1)
        other.next()
        daemon.process.send_signal(signal.SIGTERM)
        events = monitor.rest()
        self.assertEqual([(e["kind"], e.get("state")) for e in events],
                         [("service", None), ("link", "stopping"), ("service", None)])
        self.assertEqual(events[0]["text"], "SIGTERM: stopping")
        self.assertEqual(events[-1]["text"], "stopped; everything was acknowledged by the upstream's kernel")
        self.assertEqual(other.rest(), events)
        self.assertEqual(daemon.wait_exit(), 0)


class Ftcpctl(harness.SystemTest):
    """The verb events, and the events on the screen."""

    def follow(self, daemon, *args):
        return self.spawn(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "events", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_ctl(self, daemon, *args):
        done = subprocess.run([harness.program("ftcpctl"), "--socket", daemon.control_path, *args],
                              capture_output=True, text=True, timeout=harness.DEADLINE * 3)
        return done.returncode, done.stdout, done.stderr

    def test_it_prints_the_last_ones_and_follows_until_interrupted(self):
        _, daemon, _ = self.linked()
        process = self.follow(daemon, "-n", "2")
        lines = [process.stdout.readline() for _ in range(2)]
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} link    connected to ")
        self.assertRegex(lines[1], r" link    up: connected to 127\.0\.0\.1:\d+\n$")
        daemon.client()
        self.assertRegex(process.stdout.readline(), r" client  client 1 \(.*\) connected\n$")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(harness.DEADLINE), -signal.SIGINT)
        self.assertEqual(process.stderr.read(), "")

    def test_in_json_each_is_an_object_on_a_line(self):
        _, daemon, _ = self.linked()
        for option in ("-j", "--json=short"):
            process = self.follow(daemon, option)
            kept = recent(daemon)
            self.assertEqual([json.loads(process.stdout.readline()) for _ in kept], kept)
            process.kill()

    def test_it_ends_with_its_reader_and_not_with_the_next_event(self):
        _, daemon, session = self.linked()
        tool = f"{harness.program('ftcpctl')} --socket {daemon.control_path}"
        # What each prints first, and what makes it print that.
        for verb, news in (("events | head -n 1", None), ("recv --lines | head -n 1", session),
                           ("tap | head -n 1", session)):
            process = self.spawn(["sh", "-c", f"{tool} {verb}"], stdout=subprocess.PIPE)
            while news and process.poll() is None:
                news.send(b"x")
                select.select([process.stdout], [], [], 0.05)
                if select.select([process.stdout], [], [], 0)[0]:
                    break
            out, _ = process.communicate(timeout=harness.DEADLINE)
            self.assertEqual(out.count(b"\n"), 1, verb)

    def test_it_ends_with_its_reader_where_that_is_at_a_socket(self):
        _, daemon, _ = self.linked()
        for verb in (["events", "-n", "1"], ["recv"], ["tap"]):
            ours, far = socket.socketpair()
            process = self.spawn([harness.program("ftcpctl"), "--socket", daemon.control_path, *verb],
                                 stdout=far)
            far.close()
            if verb[0] == "events":
                self.assertTrue(ours.recv(4096))
            ours.close()
            self.assertEqual(process.wait(harness.DEADLINE), -signal.SIGPIPE, verb)

    def test_pretty_json_is_pretty(self):
        _, daemon, _ = self.linked()
        process = self.spawn([harness.program("ftcpctl"), "--socket", daemon.control_path,
                              "--json=pretty", "events", "-n", "1"], stdout=subprocess.PIPE,
                             text=True)
        self.assertEqual(process.stdout.readline(), "{\n")
        self.assertRegex(process.stdout.readline(), '^  "seq": \\d+,\n')

    def test_it_ends_with_the_daemon_and_says_so(self):
        _, daemon, _ = self.linked()
        process = self.follow(daemon, "-n", "1")
        process.stdout.readline()
        daemon.process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, 1)
        self.assertIn("stopped; everything was acknowledged", out)
        self.assertRegex(err, "^ftcpctl: ftcpd closed the connection: it has ended")

    def test_a_wrong_command_line_and_no_daemon_are_told(self):
        _, daemon, _ = self.linked()
        for args in (["-n", "x"], ["-n"], ["-n", "-1"], ["word"], ["--what"]):
            code, out, err = self.run_ctl(daemon, "events", *args)
            self.assertEqual((code, out), (2, ""))
            self.assertTrue(err.startswith("ftcpctl: "), err)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.run_ctl(daemon, "events")[0], 3)

    def test_the_screen_says_what_waits_what_was_dropped_and_what_happened(self):
        upstream, daemon, session = self.linked("[Delivery]\nMessageTTL=100ms\n")
        session.send(b"x")
        wait_event(daemon, "drop", "no_client")
        client = daemon.client()
        daemon.wait_clients(1)
        upstream.refuse()
        session.reset()
        daemon.wait_state("waiting")
        client.send(KIB)
        wait_event(daemon, "drop", "expired")
        code, out, _ = self.run_ctl(daemon)
        self.assertEqual(code, 0)
        for words in ("dropped 1/1.00K expired: older than MessageTTL=",
                      "dropped 1/5 no_client: no client was there (HoldSize=)",
                      " drop    to the upstream: 1 message was dropped (expired)",
                      " link    waiting (reset): "):
            self.assertIn(words, out)
        self.assertNotRegex(out, "link    connecting")
        self.assertEqual([line for line in out.splitlines() if len(line) > 80], [])

    def test_the_screen_names_the_client_that_is_slow(self):
        _, daemon, session = self.linked("[Delivery]\nClientQueueSize=1M\nSlowClient=wait\n")
        daemon.client()
        daemon.wait_clients(1)
        session.send(*[KIB] * 1000)
        daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"], "messages to wait")
        out = self.run_ctl(daemon)[1]
        self.assertRegex(out, r"\n +most for client 1 \(.*, pid \d+\): \d+/\S+\n")


class Restarts(ManagedTest):
    """The verb events where ftcpd ends and is started anew; its manager holds the socket."""

    def follow(self, daemon, *args):
        process = self.spawn(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "-j", "events", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return process, self.read(process)

    def read(self, process):
        return json.loads(process.stdout.readline() or self.fail(process.stderr.read()))

    def read_until(self, process, text):
        events = [self.read(process)]
        while text not in events[-1]["text"]:
            events.append(self.read(process))
        return events

    def test_a_crash_is_followed_without_a_hole_or_a_double(self):
        _, daemon, _ = self.linked()
        process, first = self.follow(daemon, "-n", "256")
        events = [first]
        for _ in range(3):
            daemon.call("Reload")
            daemon.crash()
            events += self.read_until(process, f"started, pid {daemon.pid}")
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        self.assertEqual(events, recent(daemon)[:len(events)])

    def test_a_stop_ends_it_and_nobody_is_started_by_it(self):
        _, daemon, _ = self.linked()
        process, _ = self.follow(daemon, "-n", "1")
        daemon.crash()
        self.read_until(process, f"started, pid {daemon.pid}")
        daemon.stop()
        out, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, 1)
        self.assertIn("stopped; everything was acknowledged", out)
        self.assertRegex(err, "^ftcpctl: ftcpd closed the connection: it has ended")
        listener = dict(daemon.sockets)["varlink"]
        self.assertEqual(select.select([listener], [], [], 0)[0], [], "somebody has connected")

    def test_what_is_told_only_from_now_on_goes_on_with_the_first_missed(self):
        _, daemon, _ = self.linked()
        process = self.spawn(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "-j", "events", "-n0"],
            stdout=subprocess.PIPE, text=True)

        def told():
            daemon.call("Reload")
            return select.select([process.stdout], [], [], 0.1)[0]

        harness.until(told, "it to be connected")
        first = self.read(process)
        self.assertEqual(first["kind"], "reload")
        daemon.crash()
        seqs = [e["seq"] for e in self.read_until(process, "started, pid")]
        self.assertEqual(seqs, list(range(first["seq"] + 1, seqs[-1] + 1)))

    def test_more_than_is_kept_is_a_gap(self):
        _, daemon, _ = self.linked()
        process, event = self.follow(daemon, "-n", "1")
        process.send_signal(signal.SIGSTOP)
        daemon.crash()
        for _ in range(400):
            daemon.call("Reload")
        kept = recent(daemon)
        process.send_signal(signal.SIGCONT)
        gaps, seq = [], event["seq"]
        while seq < kept[-1]["seq"]:
            event = self.read(process)
            gaps += [event] if event["kind"] == "gap" else []
            seq += event.get("missed", 1)
            self.assertEqual(event["seq"], seq)
        self.assertEqual(event, kept[-1])
        self.assertEqual([g["seq"] for g in gaps], [kept[0]["seq"] - 1])

    def test_a_service_that_begins_anew_is_told_from_its_beginning(self):
        _, daemon, _ = self.linked()
        process, event = self.follow(daemon, "-n", "1")
        process.send_signal(signal.SIGSTOP)
        daemon.kill()
        daemon.forget("state")
        daemon.start()
        while recent(daemon)[-1]["seq"] < event["seq"] + 5:
            daemon.call("Reload")
        process.send_signal(signal.SIGCONT)
        while event["seq"] != 1:  # what was told by the first one
            event = self.read(process)
        events = [event] + [self.read(process) for _ in range(4)]
        self.assertEqual(events, recent(daemon)[:5])

    def test_one_that_does_not_come_back_is_told(self):
        _, daemon, _ = self.linked()
        process, _ = self.follow(daemon, "-n", "1")
        daemon.kill()
        _, err = process.communicate(timeout=harness.DEADLINE + 10)
        self.assertEqual(process.returncode, 3)
        self.assertIn("ftcpd has ended, not by a stop, and is not back after 10s", err)


if __name__ == "__main__":
    harness.main()

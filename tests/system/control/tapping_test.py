# SPDX-License-Identifier: MIT
"""Tap: what passes is shown as it passes, to whom it may be, at nobody's cost; ftcpctl tap."""
import base64
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import Frame, Varlink, VarlinkError, random_messages, until
from local import BooksWatch, check_books, connect_as, resident, wait_listed

NOBODY = 65534
MIB = 1 << 20


class Tap:
    """A call of Tap and what it is shown: (direction, clientId, message) each."""

    def __init__(self, daemon, **parameters):
        self.varlink = Varlink(daemon.control_path)
        self.varlink.send({"method": "io.ftcpd.Tap", "more": True, "parameters": parameters})
        self.missed = 0
        # It is served by now: connections are accepted and asked in their order.
        daemon.status()

    def reply(self):
        reply = self.varlink.recv()
        if reply is None:
            raise AssertionError("the connection ended")
        if "error" in reply:
            raise VarlinkError(reply["error"], reply["parameters"])
        if not reply["continues"]:
            raise AssertionError(f"not the last one: {reply}")
        return reply["parameters"]

    def take(self):
        """The next reply as (direction, clientId, message); None: only what was missed."""
        shown = self.reply()
        self.missed += shown["missed"]
        if shown["missed"] and not shown["message"]:
            return None
        return (shown["direction"], shown.get("clientId"), base64.b64decode(shown["message"]))

    def next(self):
        shown = None
        while shown is None:
            shown = self.take()
        return shown

    def expect(self, test, *wanted):
        test.assertEqual([self.next() for _ in wanted], list(wanted))
        test.assertEqual(self.missed, 0)

    def up_to(self, last):
        """All up to this message."""
        shown = [self.next()]
        while shown[-1][2] != last:
            shown.append(self.next())
        return shown

    def waits(self):
        """Is there something to read, now or in a moment?"""
        return self.varlink.buffer or select.select([self.varlink.sock], [], [], 0.2)[0]

    def rest(self, count):
        """All that it is shown of so many messages, the rest of which it is told that it missed."""
        shown = []
        while len(shown) + self.missed < count:
            shown.append(self.take())
            if shown[-1] is None:
                shown.pop()
        return shown

    def expect_silence(self, test):
        test.assertFalse(self.varlink.buffer)
        test.assertFalse(select.select([self.varlink.sock], [], [], 0.3)[0])


class Watching(harness.SystemTest):
    def tap(self, daemon, **parameters):
        tap = Tap(daemon, **parameters)
        self.addCleanup(tap.varlink.close)
        return tap

    def ask(self, session, client):
        """A message each way: what was sent before them has passed when they arrive."""
        client.send(b"ask")
        while session.recv() != b"ask":
            pass
        session.send(b"answer")
        while client.recv() != b"answer":
            pass

    # What is shown.

    def test_messages_are_shown_in_both_directions_with_who_sent_them_and_when(self):
        _, daemon, session = self.linked()
        one, two = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        tap = self.tap(daemon)
        begin = time.time()
        for number in range(3):
            one.send(b"from one %d" % number)
            session.expect(b"from one %d" % number)
            session.send(b"for all", b"\0\xff")
            two.expect(b"for all", b"\0\xff")
            two.send(b"from two", b"", b"again")
            self.assertEqual(session.recv(), b"from two")
            session.expect(b"again")
            tap.expect(self, ("out", 1, b"from one %d" % number), ("in", None, b"for all"),
                       ("in", None, b"\0\xff"), ("out", 2, b"from two"), ("out", 2, b""),
                       ("out", 2, b"again"))
        one.send(b"now")
        shown = tap.reply()
        self.assertLess(abs(shown["timeUsec"] / 1e6 - time.time()), 5 + time.time() - begin)

    def test_direction_and_client_select(self):
        _, daemon, session = self.linked()
        one, two = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        taps = {name: self.tap(daemon, **parameters) for name, parameters in {
            "in": {"direction": "in"}, "out": {"direction": "out"}, "two": {"clientId": 2},
            "out of two": {"direction": "out", "clientId": 2}}.items()}
        for client, word in ((one, b"one"), (two, b"two"), (one, b"three")):
            client.send(word)
            session.expect(word)
        session.send(b"all")
        one.expect(b"all")
        sent = [("out", 1, b"one"), ("out", 2, b"two"), ("out", 1, b"three")]
        taps["in"].expect(self, ("in", None, b"all"))
        taps["out"].expect(self, *sent)
        taps["two"].expect(self, sent[1], ("in", None, b"all"))
        taps["out of two"].expect(self, sent[1])
        for tap in taps.values():
            tap.expect_silence(self)

    def test_a_client_that_only_sends_gets_nothing_and_so_does_who_watches_it(self):
        _, daemon, session = self.linked()
        mute, other = daemon.client(), daemon.client()
        mute.shut_read()
        daemon.wait_clients(2)
        wait_listed(daemon, lambda c: c["sendOnly"], "the client that only sends")
        tap = self.tap(daemon, clientId=1)
        session.send(b"not for it")
        other.expect(b"not for it")
        mute.send(b"from it")
        session.expect(b"from it")
        tap.expect(self, ("out", 1, b"from it"))

    def test_what_is_dealt_is_shown_with_the_client_that_gets_it(self):
        _, daemon, session = self.linked("[Delivery]\nToClients=balance\n")
        clients = [daemon.client() for _ in range(3)]
        daemon.wait_clients(3)
        tap, second = self.tap(daemon), self.tap(daemon, clientId=2)
        got = [client.collect() for client in clients]
        session.send(*[b"%d" % n for n in range(300)])
        until(lambda: sum(len(g.messages) for g in got) == 300, "all of them")
        shown = [tap.next() for _ in range(300)]
        self.assertEqual([m for _, _, m in shown], [b"%d" % n for n in range(300)])
        for number in (1, 2, 3):
            self.assertEqual([m for _, c, m in shown if c == number], got[number - 1].messages)
        self.assertGreater(len(got[1].messages), 0)
        self.assertEqual([second.next() for _ in got[1].messages],
                         [("in", 2, m) for m in got[1].messages])
        second.expect_silence(self)
        clients[1].close()
        with self.assertRaisesRegex(VarlinkError, "NoSuchClient"):
            second.next()

    def test_what_comes_while_nobody_is_there_is_shown_too(self):
        for config in ("", "[Delivery]\nHoldSize=1M\n", "[Delivery]\nToClients=balance\n"):
            _, daemon, session = self.linked(config)
            tap = self.tap(daemon)
            large = os.urandom(300000)  # its beginning goes at once, if nobody needs it
            session.send(b"one", large, b"two")
            tap.expect(self, ("in", None, b"one"), ("in", None, large), ("in", None, b"two"))

    def test_what_waits_for_the_link_is_shown_when_it_is_taken_and_what_is_discarded_is_not(self):
        upstream = self.upstream()
        upstream.refuse()
        for when_down, shown in (("queue", True), ("discard", False)):
            daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n"
                                 f"[Delivery]\nWhenDown={when_down}\n")
            client = daemon.client()
            tap = self.tap(daemon)
            client.send(b"early")
            daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 1, "it")
            if shown:
                tap.expect(self, ("out", 1, b"early"))
            tap.expect_silence(self)

    def test_heartbeats_are_shown_only_where_they_are_passed_on(self):
        for relay in ("no", "yes"):
            _, daemon, session = self.linked(
                f"[Heartbeat]\nRelay={relay}\nMessage=ping\nInterval=100ms\n", heartbeat=None)
            client = daemon.client()
            daemon.wait_clients(1)
            tap = self.tap(daemon)
            session.send(b"before", b"ping", b"after")
            client.expect(b"before", *([b"ping"] if relay == "yes" else []), b"after")
            for _ in range(3):
                session.expect(b"ping")
            words = [b"before", b"ping", b"after"] if relay == "yes" else [b"before", b"after"]
            tap.expect(self, *[("in", None, word) for word in words])
            tap.expect_silence(self)

    def test_greetings_and_their_answers_are_secrets(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=50ms\n"
                             "ReconnectDelayMax=50ms\nGreeting=secret\nGreetingExpect=OK\n")
        client = daemon.client()
        daemon.wait_clients(1)
        tap = self.tap(daemon)
        client.send(b"mine")
        upstream.listen()
        session = upstream.accept()
        session.expect(b"secret")
        session.send(b"OK secret", b"news")
        session.expect(b"mine")
        client.expect(b"news")
        tap.expect(self, ("out", 1, b"mine"), ("in", None, b"news"))
        tap.expect_silence(self)

    def test_messages_of_every_frame_and_size_are_shown_whole(self):
        rng = random.Random(harness.seed())
        frames = (Frame(), Frame(size=2), Frame(size=4, form="decimal", adjust=-4),
                  Frame(size=2, offset=4), Frame(delimiter=b"\r\n"))
        for frame in frames:
            _, daemon, session = self.linked(frame.config() + "[Heartbeat]\nInterval=0\nTimeout=0\n",
                                             frame=frame, heartbeat=None, skip=())
            client = daemon.client(frame=frame)
            daemon.wait_clients(1)
            tap = self.tap(daemon)
            messages = random_messages(rng, 40, 9000)
            if frame.delimiter:
                messages = [m.replace(b"\n", b"-") for m in messages]
            if frame.offset:
                messages = [b"head" + len(m).to_bytes(2, "big") + m for m in messages]
            for message in messages:
                client.send(message)
                session.expect(message)
                session.send(message)
                client.expect(message)
                tap.expect(self, ("out", 1, message), ("in", None, message))

    def test_the_largest_message_is_shown_to_who_has_read_everything(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        tap = self.tap(daemon)
        large = os.urandom(16 * MIB)
        session.send(b"before")
        tap.expect(self, ("in", None, b"before"))
        session.send(large)
        client.expect(b"before", large)
        tap.expect(self, ("in", None, large))
        self.assertEqual(check_books(daemon.status())["toClients"]["dropped"], [])

    # Who may.

    @unittest.skipIf(os.geteuid(), "needs root, to be somebody else")
    def test_only_those_who_may_steer_may_watch(self):
        _, daemon, session = self.linked()
        os.chmod(daemon.directory, 0o755)

        def ask():
            with connect_as(daemon.control_path, NOBODY, NOBODY) as other:
                other.sock.sendall(b'{"method":"io.ftcpd.Tap","more":true}\0')
                daemon.status()
                session.send(b"secret")
                return other.sock.recv(9999).decode()

        self.assertIn("org.varlink.service.PermissionDenied", ask())
        # A copy, as the tree may stand where nobody else can go, such as /root.
        shutil.copy(harness.program("ftcpctl"), os.path.join(daemon.directory, "ftcpctl"))
        done = subprocess.run([os.path.join(daemon.directory, "ftcpctl"), "--socket",
                               daemon.control_path, "tap"], user=NOBODY, group=NOBODY,
                              extra_groups=[], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (4, ""))
        self.assertIn("not permitted: Tap needs root, or Admin=", done.stderr)
        daemon.reconfigure("[Control]\nAdmin=nobody\n")
        self.assertIn(base64.b64encode(b"secret").decode(), ask())

    # At nobody's cost.

    def test_one_that_does_not_read_costs_nobody_a_message_and_is_told_what_it_missed(self):
        _, daemon, session = self.linked()
        clients = [daemon.client() for _ in range(2)]
        daemon.wait_clients(2)
        tap, _ = self.tap(daemon), self.tap(daemon, direction="out")
        before = resident(daemon.pid)
        got = [client.collect() for client in clients]
        up = session.collect()
        with BooksWatch(daemon):
            for number in range(0, 6000, 20):
                session.send(*[b"%06d" % n + b"." * 994 for n in range(number, number + 20)])
                clients[0].send(*[b"%06d" % n + b"." * 994 for n in range(number, number + 20)])
            for one in (*got, up):
                one.wait_count(6000)
        self.assertLess(resident(daemon.pid) - before, 24 * MIB)
        self.assertEqual(check_books(daemon.status())["toClients"]["dropped"], [])
        # Nothing passes any more, and still it is told.
        shown = tap.rest(12000)
        self.assertGreater(tap.missed, 100)
        self.assertEqual(len(shown) + tap.missed, 12000)
        for direction, client in (("in", None), ("out", 1)):
            numbers = [int(m[:6]) for d, c, m in shown if (d, c) == (direction, client) and
                       len(m) == 1000]
            self.assertEqual(numbers, sorted(set(numbers)))

    def test_seen_and_missed_are_exactly_what_passed_however_it_reads(self):
        seed = harness.seed()
        print(f"# FTCPD_TEST_SEED={seed}", flush=True)
        rng = random.Random(seed)
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        taps = [self.tap(daemon, direction="in") for _ in range(3)]
        got = client.collect()
        shown = [[] for _ in taps]
        done = threading.Event()

        def read(tap, list_, pause):
            while not list_ or not list_[-1].startswith(b"end "):
                list_.append(tap.next()[2])
                if not done.is_set() and rng.random() < pause:
                    time.sleep(0.01)

        threads = [threading.Thread(target=read, args=(tap, list_, pause), daemon=True)
                   for tap, list_, pause in zip(taps, shown, (0, 0.01, 0.2))]
        for thread in threads:
            thread.start()
        count = 0
        for _ in range(harness.often(150, 2000)):
            burst = [b"%08d" % (count + n) + b"." * harness.random_size(rng, 20000)
                     for n in range(rng.randrange(1, 60))]
            session.send(*burst)
            count += len(burst)
        got.wait_count(count)
        done.set()
        ends = 0
        while any(thread.is_alive() for thread in threads):
            session.send(b"end %d" % ends)
            ends += 1
            for thread in threads:
                thread.join(0.1)
        for tap, list_ in zip(taps, shown):
            self.assertEqual(len(list_) + tap.missed, count + int(list_[-1][4:]) + 1)
            numbers = [int(m[:8]) for m in list_[:-1]]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual(list_[:-1], [got.messages[n] for n in numbers])

    def test_a_reload_leaves_it_as_it_is_and_a_cut_too(self):
        upstream, daemon, session = self.linked(
            "ReconnectDelay=50ms\nReconnectDelayMax=50ms\n")
        client = daemon.client()
        daemon.wait_clients(1)
        tap = self.tap(daemon)
        client.send(b"one")
        session.expect(b"one")
        daemon.reconfigure("[Delivery]\nToClients=balance\nHoldSize=1M\n")
        session.send(b"two")
        client.expect(b"two")
        daemon.reconfigure("[Delivery]\nToClients=broadcast\n[Frame]\nMaxMessageSize=1M\n")
        session.send(b"three")
        client.expect(b"three")
        session.reset()
        session = upstream.accept()
        session.send(b"four")
        client.expect(b"four")
        tap.expect(self, ("out", 1, b"one"), ("in", 1, b"two"), ("in", None, b"three"),
                   ("in", None, b"four"))

    def test_it_is_no_client_and_in_no_book(self):
        _, daemon, session = self.linked()
        tap = self.tap(daemon)
        session.send(b"nobody gets this")
        tap.expect(self, ("in", None, b"nobody gets this"))
        status = check_books(daemon.status())
        self.assertEqual((status["clients"], status["clientsAccepted"]), (0, 0))
        self.assertEqual(status["toClients"]["dropped"],
                         [{"reason": "no_client", "messages": 1, "bytes": 20}])

    def test_at_the_end_it_gets_what_passed_last(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        tap = self.tap(daemon)
        client.send(*[b"%d" % n for n in range(100)])
        daemon.process.send_signal(signal.SIGTERM)
        while session.recv() is not None:
            pass
        session.close()
        tap.up_to(b"99")
        self.assertIsNone(tap.varlink.recv())
        self.assertEqual(daemon.wait_exit(), 0)

    # ftcpctl.

    def ctl(self, daemon, *args, **options):
        """A running `ftcpctl tap`, known to be served."""
        before = self.served(daemon)
        process = self.spawn([harness.program("ftcpctl"), "--socket", daemon.control_path, "tap",
                              *args], **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                         **options})
        until(lambda: self.served(daemon) > before or process.poll() is not None, "it to be served")
        daemon.status()
        return process

    @staticmethod
    def served(daemon):
        """How many sockets the daemon watches for nothing but their end: that of a tap, too."""
        count = 0
        for fd in os.listdir(f"/proc/{daemon.pid}/fdinfo"):
            try:
                with open(f"/proc/{daemon.pid}/fdinfo/{fd}", encoding="ascii") as file:
                    count += file.read().count("events:       18 ")
            except OSError:
                pass
        return count

    def interrupt(self, process):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=harness.DEADLINE)
        return process.returncode, out, err

    def test_ctl_prints_a_line_a_message_that_is_safe_for_a_terminal(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        lines = self.ctl(daemon, env={**os.environ, "TZ": "UTC"})
        session.send(b"hello\x1b[31m\n", bytes(range(40)), b"x" * 100)
        client.send("grün €".encode(), b"\x00\x01", b"")
        session.expect("grün €".encode())
        shown = [lines.stdout.readline().decode() for _ in range(6)]
        self.assertEqual(self.interrupt(lines), (0, b"", b""))
        for line in shown:
            self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6} ")
        rest = sorted(line[16:].rstrip("\n") for line in shown)
        self.assertEqual(rest, sorted([
            "in     -      11  hello\\x1b[31m\\n",
            "in     -      40  0x" + bytes(range(24)).hex() + "... (40 bytes)",
            "in     -     100  " + "x" * 64 + "... (100 bytes)",
            "out    1       9  grün €",
            "out    1       2  0x0001",
            "out    1       0  ",
        ]))

    def test_ctl_prints_lines_digits_or_objects(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        lines = self.ctl(daemon, "--in", "--lines", "-n", "3")
        digits = self.ctl(daemon, "--hex", "--client", "1", "-n", "4")
        objects = self.ctl(daemon, "-j", "--out", "-n", "1")
        session.send(b"a", b"bc", b"\x1b\xff")
        client.expect(b"a", b"bc", b"\x1b\xff")
        client.send(b"up")
        for process, wanted in ((lines, b"a\nbc\n\x1b\xff\n"), (digits, b"61\n6263\n1bff\n7570\n")):
            out, err = process.communicate(timeout=harness.DEADLINE)
            self.assertEqual((process.returncode, out, err), (0, wanted, b""))
        out, _ = objects.communicate(timeout=harness.DEADLINE)
        shown = json.loads(out)
        self.assertEqual(out.count(b"\n"), 1)
        self.assertEqual((shown["direction"], shown["clientId"], shown["message"], shown["missed"]),
                         ("out", 1, base64.b64encode(b"up").decode(), 0))

    def test_ctl_ends_with_the_daemon_or_the_client_that_it_watches(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        gone = self.ctl(daemon, "--client", "1")
        whole = self.ctl(daemon)
        none = self.ctl(daemon, "--client", "77")
        _, err = none.communicate(timeout=harness.DEADLINE)
        self.assertEqual((none.returncode, err), (1, b"ftcpctl: there is no client 77\n"))
        client.send(b"one")
        session.expect(b"one")
        client.close()
        out, err = gone.communicate(timeout=harness.DEADLINE)
        self.assertEqual((gone.returncode, err), (1, b"ftcpctl: there is no client 1 any more\n"))
        self.assertIn(b"one", out)
        daemon.stop()
        out, err = whole.communicate(timeout=harness.DEADLINE)
        self.assertEqual(whole.returncode, 1)
        self.assertIn(b"ftcpd closed the connection", err)

    def test_ctl_tells_on_stderr_what_was_missed(self):
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        got = client.collect()
        process = self.ctl(daemon, "--lines")
        process.send_signal(signal.SIGSTOP)
        session.send(*[b"%06d" % n + b"." * 994 for n in range(5000)])
        got.wait_count(5000)
        process.send_signal(signal.SIGCONT)
        told = ""
        os.set_blocking(process.stdout.fileno(), False)
        os.set_blocking(process.stderr.fileno(), False)
        text = b""
        # Nothing passes any more, and still it is told.
        while text.count(b"\n") + sum(map(int, re.findall(r"(\d+) messages? missed", told))) < 5000:
            ready = select.select([process.stdout, process.stderr], [], [], harness.DEADLINE)[0]
            self.assertTrue(ready, f"after {told[-200:]!r}")
            for pipe in ready:
                data = os.read(pipe.fileno(), 1 << 20)
                if pipe is process.stdout:
                    text += data
                else:
                    told += data.decode()
        code, more, err = self.interrupt(process)
        self.assertEqual(code, 0)
        lines = (text + more).decode().splitlines()
        told = (told + err.decode()).splitlines()
        here = [int(line.split()[1]) for line in told[:-1]]
        self.assertTrue(all(line.endswith("missed here") for line in told[:-1]), told)
        self.assertEqual(told[-1], f"ftcpctl: {len(lines)} messages were shown, {sum(here)} missed")
        self.assertGreater(sum(here), 0)
        self.assertEqual(len(lines) + sum(here), 5000)

    # Wireshark.

    def dissect(self, path, *fields):
        """What tshark says of each packet."""
        command = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=|"]
        for field in fields:
            command += ["-e", field]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=harness.DEADLINE * 4)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line.split("|") for line in done.stdout.splitlines()]

    def test_wireshark_reads_each_message_as_a_packet_with_client_and_direction(self):
        harness.need("tshark")
        _, daemon, session = self.linked()
        one, two = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "file.pcapng")
            process = self.ctl(daemon, "--pcap", path)
            for client, message in ((one, b"\0bin"), (two, b"abcd"), (one, b"x" * 300000)):
                client.send(message)
                session.expect(message)
            session.send(b"down")
            one.expect(b"down")
            until(lambda: os.path.getsize(path) > 262144 and
                  len(self.dissect(path, "frame.number")) == 4, "the packets to be in the file")
            self.assertEqual(self.interrupt(process), (0, b"", b""))
            packets = self.dissect(path, "frame.interface_name", "frame.packet_flags_direction",
                                   "frame.cap_len", "frame.len", "data.data", "frame.time_epoch")
        self.assertEqual([p[:4] for p in packets], [
            ["client 1", "0x00000002", "4", "4"],
            ["client 2", "0x00000002", "4", "4"],
            ["client 1", "0x00000002", "262144", "300000"],
            ["upstream", "0x00000001", "4", "4"]])
        self.assertEqual([packets[n][4] for n in (0, 1, 3)],
                         [m.hex() for m in (b"\0bin", b"abcd", b"down")])
        self.assertEqual(packets[2][4], "78" * 262144)
        for packet in packets:
            self.assertLess(abs(float(packet[5]) - time.time()), 600)

    def test_wireshark_is_told_what_the_messages_are(self):
        harness.need("tshark")
        _, daemon, session = self.linked()
        daemon.client()
        daemon.wait_clients(1)
        capture = self.ctl(daemon, "--pcap", "-", "-n", "3")
        tshark = self.spawn(["tshark", "-l", "-i", "-", "-T", "fields", "-e", "json.key", "-o",
                             'uat:user_dlts:"User 0 (DLT=147)","json","0","","0",""'],
                            stdin=capture.stdout, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
        session.send(b'{"temperature": 21}', b'{}', b'{"pressure": 1013}')
        out, _ = tshark.communicate(timeout=harness.DEADLINE * 4)
        self.assertEqual(out.split(), [b"temperature", b"pressure"])

    def test_wireshark_reads_a_stream_as_it_comes_and_is_told_what_was_missed(self):
        harness.need("tshark")
        _, daemon, session = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        got = client.collect()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "file.pcapng")
            with open(path, "wb") as file:
                process = self.ctl(daemon, "--pcap", "-", "--in", stdout=file)
                process.send_signal(signal.SIGSTOP)
                session.send(*[b"%06d" % n + b"." * 994 for n in range(4000)])
                got.wait_count(4000)
                process.send_signal(signal.SIGCONT)
                sent = 0
                while not self.last_of(path).startswith("end "):
                    session.send(b"end %d" % sent)
                    sent += 1
                    got.wait_count(4000 + sent)
                code, _, err = self.interrupt(process)
            packets = self.dissect(path, "data.data", "frame.comment")
        missed = sum(int(comment.split()[0]) for _, comment in packets if comment)
        last = bytes.fromhex(packets[-1][0])
        self.assertEqual(code, 0)
        self.assertGreater(missed, 0)
        self.assertIn(f"{len(packets)} messages were shown, {missed} missed", err.decode())
        self.assertEqual(len(packets) + missed, 4000 + int(last[4:]) + 1)

    def last_of(self, path):
        packets = self.dissect(path, "data.data")
        return bytes.fromhex(packets[-1][0]).decode() if packets else ""


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""Flush: the reply comes when the peer's kernel has what was accepted before, or it is given up."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

import harness
from local import check_rests, stays
from manager import ManagedTest

PATIENT = f"[Service]\nStopTimeout={120 * harness.SLOW:.0f}s\n"  # nobody waits for so long
SIZE = 3000000


def watched(pid):
    """Connections of which only the end is waited for: of who flushes."""
    count = 0
    for number in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
                count += len(re.findall(r"(?m)^tfd:\s*\d+ events:\s*18 ", file.read()))
        except FileNotFoundError:
            pass
    return count


class FlushTest(harness.SystemTest):
    def deaf(self, config="", count=2):
        """A link whose upstream does not read yet, a client, and messages of it that wait."""
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=50ms\n"
            f"ReconnectDelayMax=50ms\n{config}"
        )
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(SIZE)) for i in range(count)]
        self.accept(daemon, client, *messages)
        return daemon, session, client, messages

    @staticmethod
    def accept(daemon, client, *messages):
        before = daemon.status()["toUpstream"]["accepted"]["messages"]
        client.send(*messages)
        daemon.wait_status(
            lambda s: s["toUpstream"]["accepted"]["messages"] == before + len(messages),
            "all to be accepted",
        )

    def flushing(self, daemon, **parameters):
        """A connection that has asked."""
        varlink = harness.Varlink(daemon.control_path)
        self.addCleanup(varlink.close)
        varlink.send({"method": "io.ftcpd.Flush", "parameters": parameters})
        return varlink

    @staticmethod
    def has_reply(varlink):
        varlink.sock.setblocking(False)
        try:
            return bool(varlink.sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            varlink.sock.settimeout(harness.DEADLINE)


class Flush(FlushTest):
    def test_with_nothing_queued_it_replies_at_once_whatever_the_time(self):
        upstream, daemon, _ = self.linked()
        self.assertEqual(daemon.call("Flush"), {})
        self.assertEqual(daemon.call("Flush", timeoutUsec=0), {})
        self.assertEqual(daemon.call("Flush", timeoutUsec=None), {})
        upstream.refuse()
        daemon.call("Hold")
        self.assertEqual(daemon.call("Flush", timeoutUsec=0), {})

    def test_it_replies_when_what_was_accepted_before_is_acknowledged_and_not_later(self):
        daemon, session, client, messages = self.deaf()
        first = self.flushing(daemon)
        harness.until(lambda: watched(daemon.pid) == 1, "it to wait")
        more = [harness.stamp(2, i, bytes(SIZE)) for i in range(2)]
        self.accept(daemon, client, *more)
        second = self.flushing(daemon)
        stays(lambda: not self.has_reply(first) and not self.has_reply(second))
        session.expect(*messages)
        self.assertEqual(first.recv(), {"parameters": {}})
        queued = daemon.status()["toUpstream"]["queued"]["messages"]
        self.assertFalse(self.has_reply(second))
        self.assertGreater(queued, 0)
        session.expect(*more)
        self.assertEqual(second.recv(), {"parameters": {}})
        self.assertEqual(daemon.status()["toUpstream"]["queued"]["messages"], 0)

    def test_the_time_is_kept_and_what_is_queued_is_told(self):
        daemon, session, _, messages = self.deaf()
        for span in (0, 300_000):
            begun = time.monotonic()
            with self.assertRaises(harness.VarlinkError) as raised:
                daemon.call("Flush", timeoutUsec=span)
            self.assertGreaterEqual(time.monotonic() - begun, span / 1e6)
            self.assertEqual(raised.exception.name, "io.ftcpd.FlushTimedOut")
            queued = raised.exception.parameters["queued"]
            self.assertEqual(queued, {"messages": 2, "bytes": sum(len(m) + 4 for m in messages)})
        session.expect(*messages)
        self.assertEqual(daemon.call("Flush"), {})

    def test_a_time_that_is_none_is_refused_and_one_without_an_end_is_one(self):
        _, daemon, _ = self.linked()
        with self.assertRaises(harness.VarlinkError) as raised:
            daemon.call("Flush", timeoutUsec=-1)
        self.assertEqual(raised.exception.name, "org.varlink.service.InvalidParameter")
        self.assertEqual(raised.exception.parameters, {"parameter": "timeoutUsec"})
        self.assertEqual(daemon.call("Flush", timeoutUsec=(1 << 63) - 1), {})

    def test_many_wait_each_for_its_own_messages(self):
        daemon, session, client, messages = self.deaf(count=1)
        waiting = []
        for i in range(20):
            waiting += [self.flushing(daemon) for _ in range(2)]
            harness.until(lambda: watched(daemon.pid) == len(waiting), "them to wait")
            messages.append(harness.stamp(2, i, bytes(SIZE // 10)))
            self.accept(daemon, client, messages[-1])
        self.assertFalse(any(self.has_reply(varlink) for varlink in waiting))
        session.expect(*messages)
        for varlink in waiting:
            self.assertEqual(varlink.recv(), {"parameters": {}})

    def test_what_is_dropped_is_waited_for_no_longer(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n[Delivery]\nMessageTTL=1s\n"
        )
        client = daemon.client()
        self.accept(daemon, client, b"too old soon")
        waiting = self.flushing(daemon)
        self.assertEqual(waiting.recv(), {"parameters": {}})
        self.assertEqual(daemon.status()["toUpstream"]["dropped"][0]["reason"], "expired")

    def test_a_lost_connection_does_not_end_it(self):
        daemon, session, _, messages = self.deaf()
        waiting = self.flushing(daemon)
        harness.until(lambda: watched(daemon.pid) == 1, "it to wait")
        session.reset()
        daemon.wait_state("connected")
        self.assertFalse(self.has_reply(waiting))
        self.upstreams[0].accept().expect(*messages)
        self.assertEqual(waiting.recv(), {"parameters": {}})

    def test_what_stands_behind_it_waits_for_it_and_is_answered_then(self):
        daemon, session, _, messages = self.deaf()
        with harness.Varlink(daemon.control_path) as varlink:
            varlink.send({"method": "io.ftcpd.Health"})
            varlink.send({"method": "io.ftcpd.Flush"})
            varlink.send({"method": "io.ftcpd.Health"})
            varlink.send({"method": "io.ftcpd.Flush", "oneway": True})
            varlink.send({"method": "io.ftcpd.Flush", "parameters": {"timeoutUsec": 1}})
            varlink.sock.shutdown(socket.SHUT_WR)
            self.assertIn("health", varlink.recv()["parameters"])
            stays(lambda: not self.has_reply(varlink))
            session.expect(*messages)
            self.assertEqual(varlink.recv(), {"parameters": {}})
            self.assertIn("health", varlink.recv()["parameters"])
            self.assertEqual(varlink.recv(), {"parameters": {}})
            self.assertIsNone(varlink.recv())

    def test_one_whose_caller_has_gone_is_forgotten(self):
        daemon, session, client, messages = self.deaf()
        waiting = [self.flushing(daemon) for _ in range(20)]
        harness.until(lambda: watched(daemon.pid) == 20, "all to wait")
        for varlink in waiting:
            varlink.close()
        harness.until(lambda: watched(daemon.pid) == 0, "all to be gone")
        session.expect(*messages)
        client.send(b"more")
        session.expect(b"more")

    def test_to_wait_costs_nothing(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=1h\nReconnectDelayMax=1h\n"
        )
        client = daemon.client()
        self.accept(daemon, client, b"waits")
        waiting = [self.flushing(daemon) for _ in range(20)]
        daemon.wait_state("waiting")
        check_rests(daemon)
        self.assertFalse(any(self.has_reply(varlink) for varlink in waiting))

    def test_a_stop_that_delivers_everything_still_replies(self):
        daemon, session, _, messages = self.deaf(PATIENT)
        waiting = self.flushing(daemon)
        harness.until(lambda: watched(daemon.pid) == 1, "it to wait")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("SIGTERM: stopping")
        session.expect(*messages)
        self.assertEqual(waiting.recv(), {"parameters": {}})
        session.expect_end()
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)


class Verb(FlushTest):
    def test_it_says_in_one_line_that_it_is_done(self):
        _, daemon, _ = self.linked()
        self.assertEqual(
            daemon.ctl("flush"),
            (0, "everything accepted before is acknowledged or dropped\n", ""),
        )
        self.assertEqual(daemon.ctl("flush", "-j"), (0, "{}\n", ""))
        self.assertEqual(daemon.ctl("flush", "now")[0], 2)
        self.assertEqual(daemon.ctl("flush", "--timeout=soon")[0], 2)

    def test_it_tells_what_was_dropped_meanwhile(self):
        daemon, session, _, _ = self.deaf("[Delivery]\nResend=none\n", count=1)
        process = self.spawn(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "flush"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        harness.until(lambda: watched(daemon.pid) == 1, "it to wait")
        session.reset()
        self.assertEqual(
            process.communicate(timeout=harness.DEADLINE),
            ("everything accepted before is acknowledged or dropped\n",
             "ftcpctl: 1 message to the upstream was dropped meanwhile\n"),
        )
        self.assertEqual(process.returncode, 0)

    def test_the_timeout_exits_with_1_and_says_what_is_queued_and_how_the_link_is(self):
        daemon, _, _, _ = self.deaf("[Service]\nStopTimeout=0\n")
        code, out, err = daemon.ctl("flush", "--timeout=200ms")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("not flushed within 200ms: 2 messages (5.72M) are queued; the link is up", err)
        daemon.call("Hold")
        daemon.wait_state("held")
        self.assertIn("the link is held, held by root", daemon.ctl("flush", "--timeout=0")[2])

    def test_send_with_flush_returns_when_the_peers_kernel_has_it(self):
        daemon, session, _, messages = self.deaf()
        process = self.spawn(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "send", "--flush", "last"]
        )
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 3, "it to be taken")
        stays(lambda: process.poll() is None)
        session.expect(*messages, b"last")
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        daemon.call("Hold")
        daemon.wait_state("held")
        result = daemon.ctl("send", "--flush", "--timeout=100ms", "text")
        self.assertEqual(result[0], 1)
        self.assertIn("1 message (8) is queued", result[2])
        self.assertEqual(daemon.ctl("send", "--timeout=1s", "text")[0], 2)

    def test_a_send_that_is_not_taken_ends_at_its_timeout(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n[Frame]\nMaxMessageSize=32K\n"
            "[Delivery]\nUpstreamQueueSize=64K\n"
        )
        text = 30_000 * "x"
        for _ in range(3):  # then the queue is full
            self.assertEqual(daemon.ctl("send", text)[0], 0)
        for given, lines in ((text, []), (20 * (text + "\n"), ["--lines"])):
            done = daemon.ctl("send", "--flush", "--timeout=300ms", *lines, "-", input=given)
            self.assertEqual(done[0], 1)
            self.assertIn("has not taken everything within the time", done[2])


class Restart(FlushTest, ManagedTest):
    def waiting(self, daemon):
        """The verb, which has asked."""
        before = watched(daemon.pid)
        process = self.spawn(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, "flush"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        harness.until(lambda: watched(daemon.pid) > before, "it to ask")
        return process

    def ends(self, process, session, messages):
        """The peer reads, and the verb is done."""
        reader = threading.Thread(target=session.expect, args=messages)
        reader.start()
        self.assertEqual(process.wait(harness.DEADLINE), 0, process.stderr.read())
        reader.join(harness.DEADLINE)

    def test_the_verb_waits_on_over_a_crash(self):
        daemon, session, _, messages = self.deaf()
        process = self.waiting(daemon)
        for _ in range(2):
            daemon.crash()
            stays(lambda: process.poll() is None)
        self.ends(process, session, messages)

    def test_the_verb_waits_on_though_more_has_happened_than_is_kept(self):
        daemon, session, _, messages = self.deaf()
        process = self.waiting(daemon)
        last = daemon.call("RecentEvents")["events"][-1]["seq"]
        for _ in range(300):
            daemon.call("Reload")
        self.assertGreater(daemon.call("RecentEvents")["events"][0]["seq"], last)
        daemon.crash()
        stays(lambda: process.poll() is None)
        self.ends(process, session, messages)

    def test_where_the_state_is_lost_it_says_so(self):
        daemon, session, _, _ = self.deaf()
        process = self.waiting(daemon)
        daemon.kill()
        daemon.forget("state")
        daemon.start()
        session.close()
        self.assertEqual(process.wait(harness.DEADLINE), 1)
        self.assertIn("ftcpd was started anew meanwhile", process.stderr.read())


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""Heartbeats in both directions, silence, and what ftcpd makes of its own stalls."""
import time

import harness

QUICK = "[Heartbeat]\nInterval=100ms\nTimeout=0\n"
SHORT = "[Upstream]\nReconnectDelay=50ms\n[Heartbeat]\nInterval=100ms\nTimeout=400ms\n"


def paced(seconds, step, action):
    """Calls action(number) every step for so long: where a test needs time to pass."""
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        action(number)
        number += 1
        time.sleep(step)
    return number


class Sending(harness.SystemTest):
    @harness.in_time
    def test_an_idle_link_sends_the_empty_message_every_interval(self):
        _, daemon, session = self.linked(QUICK, skip=())
        start = time.monotonic()
        before = daemon.status()["upstream"]["heartbeatsSent"]
        daemon.wait_status(lambda s: s["upstream"]["heartbeatsSent"] >= before + 5, "five")
        took = time.monotonic() - start
        self.assertGreater(took, 0.35)
        self.assertLess(took, 1.5)
        session.expect(b"", b"", b"", b"", b"")

    @harness.in_time
    def test_a_link_that_sends_needs_no_heartbeat(self):
        _, daemon, session = self.linked("[Heartbeat]\nInterval=1s\n")
        client = daemon.client()
        client.send(b"first")
        session.expect(b"first")
        before = daemon.status()["upstream"]["heartbeatsSent"]
        paced(1.8, 0.02, lambda _: client.send(b"data"))
        self.assertEqual(daemon.status()["upstream"]["heartbeatsSent"], before)
        daemon.wait_status(
            lambda s: s["upstream"]["heartbeatsSent"] > before, "a heartbeat when it is idle again"
        )

    def test_what_arrives_does_not_postpone_our_own(self):
        _, daemon, session = self.linked(QUICK, skip=(), heartbeat=None)
        session.expect(b"")
        before = daemon.status()["upstream"]["heartbeatsSent"]
        harness.until(
            lambda: session.send(b"data")
            or daemon.status()["upstream"]["heartbeatsSent"] >= before + 2,
            "heartbeats while data arrive",
        )

    def test_no_heartbeat_is_sent_with_interval_0_and_empty_messages_pass(self):
        _, daemon, session = self.linked("[Heartbeat]\nInterval=0\n", skip=(), heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(b"", b"x", b"")
        client.expect(b"", b"x", b"")
        client.send(b"", b"y", b"")
        session.expect(b"", b"y", b"")
        status = daemon.status()
        self.assertEqual(status["upstream"]["heartbeatsSent"], 0)
        self.assertEqual(status["upstream"]["heartbeatsReceived"], 0)
        self.assertEqual(status["toClients"]["delivered"]["messages"], 3)

    def test_the_heartbeat_may_be_another_message(self):
        _, daemon, session = self.linked(QUICK + "Message=ping\\0\n", skip=(), heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        session.expect(b"ping\0", b"ping\0")
        session.send(b"ping\0", b"", b"ping", b"ping\0", b"last")
        client.expect(b"", b"ping", b"last")
        self.assertEqual(daemon.status()["upstream"]["heartbeatsReceived"], 2)

    def test_a_line_protocol_has_an_empty_line_as_its_heartbeat(self):
        frame = harness.Frame(delimiter=b"\r\n")
        _, daemon, session = self.linked(QUICK + frame.config(), frame=frame, skip=())
        client = daemon.client(frame)
        daemon.wait_clients(1)
        session.expect(b"", b"")
        session.send(b"one", b"", b"two")
        client.expect(b"one", b"two")
        daemon.wait_status(lambda s: s["upstream"]["heartbeatsReceived"] > 2, "its heartbeats")


class Receiving(harness.SystemTest):
    def test_heartbeats_are_in_no_book_and_not_passed_on(self):
        _, daemon, session = self.linked(QUICK, heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(*[b""] * 100)
        session.send(b"data")
        client.expect(b"data")
        status = daemon.wait_status(
            lambda s: s["upstream"]["heartbeatsSent"] > 2, "heartbeats in both directions"
        )
        self.assertEqual(status["upstream"]["heartbeatsReceived"], 100)
        one = {"messages": 1, "bytes": 8}
        self.assertEqual(status["upstream"]["received"], one)
        self.assertEqual(status["toClients"]["accepted"], one)
        self.assertEqual(status["upstream"]["sent"], {"messages": 0, "bytes": 0})
        self.assertEqual(status["toUpstream"]["accepted"], {"messages": 0, "bytes": 0})

    def test_several_messages_may_be_heartbeats_and_each_is_answered(self):
        _, daemon, session = self.linked(
            "[Heartbeat]\nInterval=0\nTimeout=0\nReceived=TEST\nReceived=NOP\nAnswer=ACK\n",
            heartbeat=None,
        )
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(b"TEST", b"data", b"NOP", b"TESTS", b"test")
        client.expect(b"data", b"TESTS", b"test")
        session.expect(b"ACK", b"ACK")
        status = daemon.status()["upstream"]
        self.assertEqual((status["heartbeatsReceived"], status["received"]["messages"]), (2, 3))

    def test_clients_get_the_heartbeats_too_with_relay(self):
        _, daemon, session = self.linked(
            "[Heartbeat]\nInterval=0\nTimeout=0\nReceived=TEST\nAnswer=ACK\nRelay=yes\n", heartbeat=None
        )
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(b"one", b"TEST", b"two")
        client.expect(b"one", b"TEST", b"two")
        session.expect(b"ACK")
        self.assertEqual(daemon.status()["upstream"]["heartbeatsReceived"], 1)

    @harness.in_time
    def test_any_byte_is_life(self):
        _, daemon, session = self.linked("[Heartbeat]\nTimeout=1s\n", heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        message = b"a message that drips in"
        frame = session.frame.wrap(message)
        for byte in frame:
            session.send_raw(bytes([byte]))
            time.sleep(2.5 / len(frame))
        client.expect(message)
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)

    def test_a_peer_that_answers_to_nothing_can_not_make_us_hoard_answers(self):
        upstream, daemon, session = self.linked(
            "[Heartbeat]\nInterval=0\nTimeout=0\nReceived=?\nAnswer=" + "A" * 1000 + "\n", heartbeat=None
        )
        before = memory(daemon)
        session.send(*[b"?"] * 300000)
        daemon.wait_status(
            lambda s: s["upstream"]["heartbeatsReceived"] == 300000, "all heartbeats to be counted"
        )
        self.assertLess(memory(daemon) - before, 64 << 20)
        self.assertEqual(session.recv(), b"A" * 1000)


def memory(daemon):
    """Bytes that the daemon has resident, its memfd among them."""
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmRSS"].split()[0]) << 10


class Silence(harness.SystemTest):
    def test_a_silent_link_is_reset_and_redialled_and_the_reason_helps(self):
        upstream, daemon, session = self.linked(SHORT, heartbeat=None)
        self.assertEqual(session.expect_end(), "reset")
        upstream.accept()
        status = daemon.wait_state("connected")["upstream"]
        self.assertEqual(status["lastCause"], "silent")
        self.assertRegex(
            status["lastError"],
            r"^no byte for ([4-9]\d\dms|\d+s.*): if this peer is silent by nature "
            r"see \[Heartbeat\] Timeout=, if it does not know the empty message see Interval=$",
        )
        daemon.wait_log(r"silent: no byte for ([4-9]\d\dms|\d+s.*): if this peer is silent")

    def test_our_own_messages_do_not_keep_a_silent_peer_alive(self):
        _, daemon, session = self.linked(SHORT, heartbeat=None)
        client = daemon.client()
        harness.until(
            lambda: client.send(b"data")
            or daemon.status()["upstream"]["lastCause"] == "silent",
            "the silence to be noticed",
        )

    def test_a_silent_link_stays_with_on_silence_report(self):
        _, daemon, session = self.linked(SHORT + "OnSilence=report\n", heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        status = daemon.wait_status(lambda s: s["health"] == "warning", "a warning")
        self.assertRegex(status["reasons"][0]["text"], "^the upstream has been silent for ")
        self.assertEqual(status["upstream"]["state"], "up")
        daemon.wait_log(r"silent, and kept \(OnSilence=report\): no byte for")
        session.send(b"here I am")
        client.expect(b"here I am")
        daemon.wait_log("bytes come again")
        daemon.wait_status(lambda s: s["health"] == "warning", "a second warning")
        client.send(b"and we still send")
        session.expect(b"and we still send")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)

    def test_timeout_0_lets_a_peer_be_silent(self):
        _, daemon, session = self.linked("[Heartbeat]\nTimeout=0\nInterval=100ms\n", heartbeat=None)
        status = daemon.wait_status(
            lambda s: s["upstream"]["silentUsec"] > 1000000, "a second of silence"
        )
        self.assertEqual((status["health"], status["upstream"]["disconnects"]), ("ok", 0))
        self.assertEqual(status["upstream"]["heartbeatTimeoutUsec"], 0)


class Stalls(harness.SystemTest):
    @harness.in_time
    def test_our_own_stall_is_not_the_peers_silence(self):
        _, daemon, session = self.linked(
            "[Heartbeat]\nTimeout=1s\n[Frame]\nTimeout=1s\n", heartbeat=None
        )
        client = daemon.client()
        daemon.wait_clients(1)
        messages = [harness.stamp(1, i, bytes(20000)) for i in range(50)]
        stream = b"".join(session.frame.wrap(message) for message in messages)
        session.send_raw(stream[:100])
        daemon.wait_status(lambda s: s["upstream"].get("partial"), "the beginning of a message")
        daemon.freeze()
        session.send_raw(stream[100:30000])
        sent = 30000 + paced(2, 0.1, lambda i: session.send_raw(stream[30000 + i : 30001 + i]))
        daemon.thaw()
        session.send_raw(stream[sent:])
        session.heartbeat(0.1)
        numbers = [harness.unstamp(m)[1] for m in client.recv_n(50)]
        self.assertEqual(numbers, list(range(50)))
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)

    @harness.in_time
    def test_silence_is_not_judged_while_we_do_not_read(self):
        _, daemon, session = self.linked(
            "[Heartbeat]\nTimeout=800ms\n[Frame]\nTimeout=800ms\n"
            "[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n",
            heartbeat=None,
        )
        client = daemon.client()
        daemon.wait_clients(1)
        message = bytes(100000)
        session.send(*[message] * 8)
        daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        before = daemon.status()["upstream"]
        time.sleep(1.2)
        status = daemon.status()["upstream"]
        self.assertTrue(status["paused"])
        self.assertEqual((status["state"], status["disconnects"]), ("up", 0))
        self.assertEqual(status["received"], before["received"])
        session.heartbeat(0.1)
        self.assertEqual(client.recv_n(1), [message])
        collector = client.collect()
        daemon.wait_status(
            lambda s: not s["upstream"]["paused"] and s["toClients"]["queued"]["messages"] == 0,
            "the client to catch up",
        )
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)
        collector.wait_count(1)
        self.assertEqual(set(collector.messages), {message})


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""An upstream that breaks the frame, speaks something else, or does not read: what ftcpd says.

Each costs the connection and nothing else: clients stay, and what was accepted is not lost.
"""
import socket
import time

import harness
from framed import Collector

QUICK = "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=100ms\n"


class BadFrames(harness.SystemTest):
    def check(self, data, reason, config="", frame=None):
        """After a good message these bytes end the link for this reason, and nothing else."""
        upstream, daemon, session = self.linked(QUICK + config, frame=frame, heartbeat=None)
        client = daemon.client(frame)
        daemon.wait_clients(1)
        session.send_raw(session.frame.wrap(b"good") + data)
        client.expect(b"good")
        self.assertEqual(session.expect_end(), "reset")
        status = daemon.wait_status(lambda s: s["upstream"]["disconnects"] == 1, "the end")
        self.assertEqual(status["upstream"]["lastCause"], "framing")
        self.assertRegex(status["upstream"]["lastError"], reason)
        daemon.wait_log(f"framing: .*{reason.lstrip('^')}")
        session = upstream.accept()
        client.send(b"still here")
        session.expect(b"still here")
        session.send(b"and here")
        client.expect(b"and here")
        status = daemon.wait_state("up")
        self.assertEqual(status["clients"], 1)
        self.assertEqual(status["upstream"]["received"]["messages"], 2)

    def test_an_impossible_length_is_told_with_the_limit(self):
        self.check(
            b"\xff\xff\xff\xff\x00\x01\x02",
            "^a length of 4294967295 is declared, MaxMessageSize is 16777216$",
        )

    def test_a_message_one_byte_too_large_is_refused_by_its_header(self):
        self.check(
            b"\x00\x00\x04\x01",
            "^a length of 1025 is declared, MaxMessageSize is 1024$",
            "[Frame]\nMaxMessageSize=1K\n",
        )

    def test_http_is_recognised(self):
        self.check(
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            "^a length of 1213486160 is declared, .*: these bytes are HTTP text$",
        )

    def test_a_tls_hello_and_an_alert_are_recognised(self):
        self.check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", ": these bytes are a TLS hello$")
        self.check(b"\x15\x03\x01\x00\x02\x02\x16", ": these bytes are a TLS alert$")

    def test_lines_of_text_are_recognised(self):
        self.check(
            b"220 mail.example.net ESMTP\r\n",
            r"these bytes are lines of text \(see \[Frame\] Type=delimiter\)$",
        )

    def test_little_endian_lengths_are_recognised(self):
        self.check(
            harness.Frame(form="little").wrap(b"hello") + harness.Frame(form="little").wrap(b"x"),
            r"these bytes fit a little-endian length \(see \[Frame\] LengthFormat=little\)$",
        )

    def test_two_byte_lengths_are_recognised_at_the_latest_by_the_timeout(self):
        two = harness.Frame(size=2)
        self.check(
            two.wrap(b"hello") + two.wrap(b"world") + two.wrap(b"!"),
            r"^no byte for ([3-9]\d\dms|\d+s.*) in the middle of a message: "
            r"17 of 354409 bytes came: these bytes fit a 2-byte length \(see \[Frame\] LengthSize=2\)$",
            "[Frame]\nTimeout=300ms\n",
        )

    def test_a_length_that_is_no_number_is_told(self):
        frame = harness.Frame(size=4, form="decimal")
        self.check(b"00x5hello", "^the length field holds no decimal number", frame.config(), frame)

    def test_a_line_without_an_end_is_told(self):
        frame = harness.Frame(delimiter=b"\n")
        self.check(
            b"x" * 2000,
            "^no delimiter within MaxMessageSize=1024 bytes",
            frame.config() + "MaxMessageSize=1K\n",
            frame,
        )

    def test_half_a_message_is_shown_while_it_waits_and_ends_at_the_timeout(self):
        upstream, daemon, session = self.linked(
            QUICK + "[Heartbeat]\nTimeout=0\n", heartbeat=None
        )
        client = daemon.client()
        daemon.wait_clients(1)
        session.send_raw(session.frame.wrap(b"whole") + session.frame.length_field(100) + b"half")
        client.expect(b"whole")
        partial = daemon.wait_status(lambda s: s["upstream"].get("partial"), "half a message")
        partial = partial["upstream"]["partial"]
        self.assertEqual((partial["declaredBytes"], partial["receivedBytes"]), (100, 8))
        older = daemon.wait_status(
            lambda s: s["upstream"].get("partial", {}).get("ageUsec", 0) > partial["ageUsec"],
            "it to grow older",
        )
        self.assertEqual(older["upstream"]["state"], "up")
        daemon.reconfigure("[Frame]\nTimeout=1s\n")
        self.assertEqual(session.expect_end(), "reset")
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual(status["lastCause"], "framing")
        self.assertRegex(
            status["lastError"],
            r"^no byte for \d+s.* in the middle of a message: 8 of 104 bytes came",
        )
        self.assertNotIn("partial", {key for key, value in status.items() if value is not None})

    def test_a_half_line_is_shown_without_a_declared_size(self):
        frame = harness.Frame(delimiter=b"\r\n")
        _, daemon, session = self.linked(frame.config(), frame=frame, heartbeat=None)
        session.send_raw(b"$GPGGA,12\r")
        status = daemon.wait_status(lambda s: s["upstream"].get("partial"), "half a line")
        partial = status["upstream"]["partial"]
        self.assertEqual(partial["receivedBytes"], 10)
        self.assertIsNone(partial.get("declaredBytes"))
        session.send_raw(b"\n")
        daemon.wait_status(lambda s: not s["upstream"].get("partial"), "the whole line")

    def test_clients_never_see_the_beginning_of_a_message_that_does_not_end(self):
        upstream, daemon, session = self.linked(QUICK, heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        for number in range(3):
            big = harness.stamp(1, number, bytes(300000))
            frame = session.frame.wrap(big)
            session.send_raw(session.frame.wrap(b"before") + frame[: 100000 * number + 3])
            client.expect(b"before")
            session.shut_write()
            session.close()
            status = daemon.wait_status(
                lambda s: s["upstream"]["disconnects"] == number + 1, "the end"
            )["upstream"]
            self.assertIn(status["lastCause"], ("closed", "reset"))
            if status["lastCause"] == "closed":
                self.assertRegex(
                    status["lastError"],
                    f"^closed by the peer in the middle of a message, {100000 * number + 3} bytes",
                )
            session = upstream.accept()
            session.send(big)
            client.expect(big)


class Floods(harness.SystemTest):
    def test_a_flood_that_nobody_hears_is_counted_and_costs_no_memory(self):
        _, daemon, session = self.linked()
        message = bytes(100)
        for _ in range(100):
            session.send(*[message] * 2000)
        status = daemon.wait_status(
            lambda s: s["upstream"]["received"]["messages"] == 200000, "the whole flood"
        )
        books = status["toClients"]
        self.assertEqual(books["accepted"]["messages"], 200000)
        self.assertEqual(
            books["dropped"], [{"reason": "no_client", "messages": 200000, "bytes": 20800000}]
        )
        self.assertEqual(status["health"], "ok")

    def test_a_flood_of_heartbeats_leaves_the_daemon_answering(self):
        _, daemon, session = self.linked("[Heartbeat]\nTimeout=0\nReceived=?\nAnswer=!\n", heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        session.skip.add(b"!")
        collector = session.collect()
        flood = session.frame.wrap(b"?") * 10000
        end = time.monotonic() + 1
        sent = 0
        while time.monotonic() < end:
            session.send_raw(flood)
            sent += 10000
        session.send(b"data")
        client.expect(b"data")
        client.send(b"last")
        collector.wait_count(1)
        status = daemon.status()
        self.assertEqual(status["upstream"]["heartbeatsReceived"], sent)
        self.assertEqual(collector.messages, [b"last"])
        self.assertGreater(session.skipped, 0)


class NotReading(harness.SystemTest):
    """The peer's kernel lives and takes what fits; its program does not read."""

    STALL = (
        "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=100ms\nStallTimeout=1s\n"
        "[Heartbeat]\nInterval=100ms\nTimeout=0\n"
    )

    def start(self, config=STALL):
        upstream = self.upstream(heartbeat=None)
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{config}")
        session = upstream.accept()
        daemon.wait_state("up")
        return upstream, daemon, session

    def check_stall(self, count, size):
        upstream, daemon, session = self.start()
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(size)) for i in range(count)]
        client.send(*messages)
        status = daemon.wait_status(
            lambda s: s["upstream"]["disconnects"], "the stall to be noticed"
        )
        self.assertEqual(status["upstream"]["lastCause"], "stalled")
        self.assertRegex(
            status["upstream"]["lastError"],
            r"^data waits and the peer took none for \d.* \(StallTimeout=\): its kernel lives, "
            "its program does not read$",
        )
        daemon.wait_log("stalled: data waits")
        first = Collector(session)
        first.wait_end()
        seen = [harness.unstamp(m)[1] for m in first.messages]
        self.assertEqual(seen, list(range(len(seen))))
        again = Collector(upstream.accept())
        again.wait(lambda m: m and harness.unstamp(m[-1])[1] == count - 1, "the last message")
        numbers = [harness.unstamp(m)[1] for m in again.messages]
        self.assertEqual(numbers, list(range(numbers[0], count)))
        self.assertLessEqual(numbers[0], len(seen), "messages were lost")
        status = daemon.wait_status(
            lambda s: s["toUpstream"]["delivered"]["messages"] == count, "the books to agree"
        )
        self.assertEqual(status["toUpstream"]["queued"]["messages"], 0)

    @harness.in_time
    def test_a_stall_under_load_is_noticed_and_nothing_is_lost(self):
        self.check_stall(300, 20000)

    @harness.in_time
    def test_a_stall_is_noticed_though_heartbeats_still_fit_into_our_kernel(self):
        self.check_stall(10, 10000)

    def test_stall_timeout_0_waits_for_ever_and_the_path_is_not_blamed(self):
        _, daemon, session = self.start(
            "StallTimeout=0\nPathTimeout=2s\n[Heartbeat]\nInterval=100ms\nTimeout=0\n"
        )
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(20000)) for i in range(50)]
        client.send(*messages)
        daemon.wait_status(
            lambda s: (s["toUpstream"]["oldestUsec"] or 0) > 6000000, "the probes to be rare"
        )
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)
        session.expect(*messages)


if __name__ == "__main__":
    harness.main()

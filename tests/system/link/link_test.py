# SPDX-License-Identifier: MIT
"""The link with a good upstream: every kind of frame, losses that lose nothing, and its health."""
import random
import socket
import struct
import subprocess
import threading

import harness
from framed import Collector
from losses import QUICK, cut


def modbus(unit, body):
    """A Modbus TCP frame: transaction, protocol 0, the length of what follows, unit, body."""
    return struct.pack(">HHHB", 1, 0, len(body) + 1, unit) + body


class Loopback(harness.SystemTest):
    def test_within_the_host_no_timer_paces_what_is_sent(self):
        harness.need("ss")
        for host in ("127.0.0.1", "::1"):
            upstream = self.upstream(host=host)
            daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
            daemon.wait_state("connected")
            port = upstream.address.rpartition(":")[2]
            shown = subprocess.run(["ss", "-Htni", "dport", "=", f":{port}"], check=True,
                                   capture_output=True, text=True).stdout
            self.assertIn(" reno ", shown)


class Frames(harness.SystemTest):
    def check(self, frame, messages, config=""):
        """These messages pass both ways, in one piece and byte by byte."""
        _, daemon, session = self.linked(
            QUICK + frame.config() + config, frame=frame, heartbeat=None
        )
        client = daemon.client(frame)
        daemon.wait_clients(1)
        session.send(*messages)
        client.expect(*messages)
        client.send(*messages)
        session.expect(*messages)
        for sender, receiver in ((session, client), (client, session)):
            for byte in b"".join(frame.wrap(message) for message in messages):
                sender.send_raw(bytes([byte]))
            receiver.expect(*messages)
        status = daemon.status()
        size = sum(len(frame.wrap(message)) for message in messages)
        twice = {"messages": 2 * len(messages), "bytes": 2 * size}
        self.assertEqual(status["upstream"]["received"], twice)
        self.assertEqual(status["toClients"]["delivered"], twice)
        self.assertEqual(status["toUpstream"]["accepted"], twice)
        return status

    WORDS = (b"one", b"x", b"two words", bytes(range(256)), b"last")

    def test_a_32_bit_big_endian_length_is_the_default(self):
        status = self.check(harness.Frame(), self.WORDS)
        self.assertEqual(status["upstream"]["frame"], "length 4 big")

    def test_a_2_byte_length_as_iso_8583_has_it(self):
        self.check(harness.Frame(size=2), self.WORDS)

    def test_a_3_byte_and_a_1_byte_length(self):
        self.check(harness.Frame(size=3), self.WORDS)
        self.check(harness.Frame(size=1), self.WORDS[:3])

    def test_a_little_endian_length(self):
        self.check(harness.Frame(form="little"), self.WORDS)

    def test_a_length_in_decimal_and_in_hex_digits(self):
        self.check(harness.Frame(form="decimal"), self.WORDS)
        self.check(harness.Frame(form="hex"), self.WORDS)

    def test_a_length_that_counts_itself(self):
        self.check(harness.Frame(adjust=-4), self.WORDS)

    def test_modbus_whose_length_stands_behind_other_fields(self):
        frame = harness.Frame(size=2, offset=4)
        messages = [modbus(1, b"\x03\x00\x01\x00\x02"), modbus(255, b""), modbus(7, bytes(250))]
        self.check(frame, messages, "[Heartbeat]\nInterval=0\nTimeout=0\n")

    def test_lines_that_end_with_cr_lf(self):
        lines = [b"$GPGGA,1", b"with \r inside", b"with \n inside", b"x" * 1000]
        self.check(harness.Frame(delimiter=b"\r\n"), lines)


class Losses(harness.SystemTest):
    def start(self):
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n")
        return upstream, daemon

    @staticmethod
    def feed(client, messages):
        def run():
            try:
                client.send(*messages)
            except OSError:
                pass

        threading.Thread(target=run, daemon=True).start()

    def test_after_resets_in_the_middle_everything_arrives_whole_and_in_order(self):
        """What the peer's kernel acknowledged, its program reads here: so nothing may be missing,
        and only what was not acknowledged may come twice."""
        seed = harness.seed()
        print(f"seed {seed}")
        rng = random.Random(seed)
        upstream, daemon = self.start()
        client = daemon.client()
        sizes = [rng.choice((0, 10, 1000, 5000, 60000)) for _ in range(800)]
        messages = [harness.stamp(1, i, bytes(size)) for i, size in enumerate(sizes)]
        self.feed(client, messages)
        expected, twice = 0, 0
        for count in (1, 100, 300):
            session = upstream.accept()
            numbers = [harness.unstamp(m)[1] for m in session.recv_n(count) + cut(session)]
            self.assertLessEqual(numbers[0], expected, "messages were lost")
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
            twice += expected - numbers[0]
            expected = numbers[-1] + 1
        last = Collector(upstream.accept())
        last.wait(lambda m: m and harness.unstamp(m[-1])[1] == len(messages) - 1, "the last one")
        numbers = [harness.unstamp(m)[1] for m in last.messages]
        self.assertEqual(numbers, list(range(numbers[0], len(messages))))
        self.assertLessEqual(numbers[0], expected, "messages were lost")
        twice += expected - numbers[0]
        self.assertLess(twice, 60, "what was acknowledged came again")
        books = daemon.wait_status(
            lambda s: s["toUpstream"]["delivered"]["messages"] == len(messages),
            "the books to agree",
        )
        self.assertEqual(books["toUpstream"]["accepted"]["messages"], len(messages))
        self.assertEqual(books["toUpstream"]["queued"], {"messages": 0, "bytes": 0})
        self.assertEqual(books["toUpstream"]["dropped"], [])
        up = books["upstream"]
        self.assertEqual((up["connects"], up["disconnects"]), (4, 3))
        self.assertGreaterEqual(up["resent"]["messages"], twice)
        self.assertEqual(up["lastCause"], "reset")

    def test_what_is_queued_while_the_link_is_down_goes_out_in_order(self):
        upstream, daemon, session = self.linked(QUICK)
        upstream.refuse()
        session.reset()
        daemon.wait_state(("waiting", "connecting"))
        clients = [daemon.client() for _ in range(3)]
        for number in range(100):
            for sender, client in enumerate(clients):
                client.send(harness.stamp(sender, number))
        status = daemon.wait_status(
            lambda s: s["toUpstream"]["queued"]["messages"] == 300
            and s["upstream"]["lastCause"] == "refused",
            "all to be queued",
        )
        self.assertGreater(status["toUpstream"]["oldestUsec"], 0)
        upstream.listen()
        session = upstream.accept()
        seen = [harness.unstamp(message) for message in session.recv_n(300)]
        for sender in range(3):
            numbers = [number for who, number in seen if who == sender]
            self.assertEqual(numbers, list(range(100)))

    def test_a_client_keeps_its_connection_over_any_number_of_losses(self):
        upstream, daemon, session = self.linked(QUICK)
        client = daemon.client()
        daemon.wait_clients(1)
        for number in range(5):
            session.send(harness.stamp(1, number))
            client.expect(harness.stamp(1, number))
            session.reset()
            session = upstream.accept()
        status = daemon.wait_state("up")
        self.assertEqual((status["clients"], status["upstream"]["disconnects"]), (1, 5))

    def test_what_came_before_the_end_of_the_connection_is_delivered(self):
        upstream, daemon, session = self.linked(QUICK)
        client = daemon.client()
        daemon.wait_clients(1)
        messages = [harness.stamp(1, i, bytes(1000)) for i in range(2000)]
        session.send(*messages)
        session.close()
        client.expect(*messages)


class Health(harness.SystemTest):
    def words(self, daemon):
        health = daemon.call("Health")
        return health["health"], [reason["text"] for reason in health["reasons"]]

    @harness.in_time
    def test_a_link_that_is_down_warns_and_then_is_critical(self):
        upstream = self.upstream(heartbeat=0.1)
        upstream.refuse()
        daemon = self.daemon(
            f"{QUICK}Address={upstream.address}\n[Health]\nCriticalAfter=1s\n", wait=True
        )
        health, reasons = self.words(daemon)
        self.assertEqual(health, "warning")
        self.assertRegex(reasons[0], "^the link has not been up for .*, it is .*: connecting to ")
        daemon.wait_status(lambda s: s["health"] == "critical", "critical")
        upstream.listen()
        upstream.accept()
        daemon.wait_state("up")
        self.assertEqual(self.words(daemon), ("ok", []))

    @harness.in_time
    def test_connections_that_say_nothing_and_end_do_not_end_an_outage(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n[Health]\nCriticalAfter=1s\n")
        stop = threading.Event()

        def close_all():
            while not stop.is_set():
                upstream.accept().close()

        thread = threading.Thread(target=close_all, daemon=True)
        thread.start()
        try:
            daemon.wait_status(lambda s: s["health"] == "critical" and len(upstream.sessions) > 3,
                               "critical")
        finally:
            stop.set()
            thread.join(harness.DEADLINE)
        # One that brings a byte does; what is lost then is lost anew.
        session = upstream.accept()
        daemon.wait_state("connected")
        session.send(b"a message")
        daemon.wait_status(lambda s: s["upstream"]["received"]["messages"] == 1, "a byte")
        upstream.refuse()
        session.close()
        daemon.wait_state(("waiting", "connecting"))
        self.assertEqual(self.words(daemon)[0], "warning")

    def test_what_a_closed_window_keeps_back_is_not_unacknowledged(self):
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n")
        upstream.accept()
        daemon.wait_state("up")
        daemon.client().send(*[bytes(1000)] * 300)
        status = daemon.wait_status(
            lambda s: s["toUpstream"]["accepted"]["messages"] == 300 and
            s["upstream"]["sent"]["messages"] > s["toUpstream"]["delivered"]["messages"] and
            s["upstream"]["unacked"]["messages"] == 0, "a closed window")
        self.assertEqual(status["upstream"]["state"], "up")
        self.assertGreater(status["toUpstream"]["queued"]["messages"], 0)

    def test_a_link_that_flaps_warns(self):
        upstream, daemon, session = self.linked(QUICK + "[Health]\nFlaps=3\n")
        for _ in range(3):
            self.assertEqual(self.words(daemon), ("ok", []))
            session.close()
            session = upstream.accept()
            daemon.wait_state("up")
        self.assertEqual(
            self.words(daemon), ("warning", ["the link was lost 3 times in 10 minutes"])
        )

    def test_a_queue_that_is_nearly_full_and_old_warns(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"{QUICK}Address={upstream.address}\n[Frame]\nMaxMessageSize=1K\n"
            "[Delivery]\nUpstreamQueueSize=10K\n[Health]\nMaxAge=500ms\n"
        )
        client = daemon.client()
        client.send(*[bytes(1000)] * 9)
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 9, "a full queue")
        health, reasons = self.words(daemon)
        self.assertEqual(health, "warning")
        self.assertIn("the upstream's queue is over 80 %: 9036 of 10240 bytes", reasons)
        daemon.wait_status(
            lambda s: any("the oldest message in the upstream" in r["text"] for r in s["reasons"]),
            "the age to be told",
        )


if __name__ == "__main__":
    harness.main()

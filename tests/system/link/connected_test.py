# SPDX-License-Identifier: MIT
"""A connection on which the peer said no byte yet: what its kernel acknowledges is provisional."""
import socket
import subprocess
import threading
import time

import harness
from harness import stamp
from local import check_books, dropped
from manager import ManagedTest

QUICK = "ReconnectDelay=20ms\nReconnectDelayMax=50ms\n"
SHORT = "[Heartbeat]\nTimeout=700ms\n"


def queued(daemon, count):
    """Until so many messages wait, and the peer's kernel has acknowledged what was sent."""
    return daemon.wait_status(
        lambda s: s["toUpstream"]["queued"]["messages"] == count
        and s["upstream"]["unacked"]["messages"] == count, f"{count} messages to be sent")


def heartbeats_are_no_answer(test, daemon, session, n):
    """The peer sends n heartbeats, and with SendAfter=answer still nothing goes out."""
    session.send(*[b""] * n)
    daemon.wait_status(lambda s: s["upstream"]["heartbeatsReceived"] == n, "the heartbeats")
    test.assertEqual(daemon.status()["upstream"]["state"], "connected")
    with test.assertRaises(TimeoutError):
        session.recv(timeout=0.2)


class Starting(harness.SystemTest):
    def start(self, keys="", config="", **options):
        """An upstream that says nothing by itself, and a daemon that is connected to it."""
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{QUICK}{keys}\n{config}",
                             **options)
        daemon.wait_state("connected")
        return upstream, daemon


class Connected(Starting):
    def test_what_a_tunnel_took_goes_again_until_a_program_speaks(self):
        """The tunnel reads and acknowledges, has nobody to pass it on to, and closes."""
        upstream, daemon = self.start()
        client = daemon.client()
        messages = [stamp(1, i) for i in range(500)]
        for i in range(0, 500, 100):
            tunnel = upstream.accept()
            client.send(*messages[i:i + 100])
            tunnel.recv()
            tunnel.close()
        session = upstream.accept()
        session.expect(*messages)
        status = daemon.status()
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], 0)
        self.assertEqual((status["upstream"]["connects"], status["upstream"]["disconnects"]), (0, 0))
        session.send(b"")
        status = daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 500, "all")
        self.assertEqual(status["upstream"]["state"], "up")
        self.assertEqual(status["upstream"]["connects"], 1)
        check_books(status)

    def test_what_a_hanging_program_did_not_accept_goes_again(self):
        upstream, daemon = self.start(config=SHORT)
        client = daemon.client()
        messages = [stamp(1, i) for i in range(300)]
        client.send(*messages)
        daemon.wait_status(lambda s: s["upstream"]["lastCause"] == "silent", "the silence")
        harness.until(lambda: self.newest(upstream, messages), "a connection that lives")
        status = daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 300, "all")
        self.assertEqual(status["upstream"]["disconnects"], 0)
        self.assertNotIn("lost", str(status["reasons"] if "reasons" in status else ""))

    @staticmethod
    def newest(upstream, messages):
        """Answers on the next connection of the backlog; true if that one is still alive."""
        session = upstream.accept()
        try:
            session.send(b"")
            session.expect(*messages)
            session.heartbeat()
            time.sleep(0.1)
            session.send(b"")
            return True
        except (OSError, AssertionError):
            return False

    def lossy(self, resend):
        upstream, daemon = self.start(config=f"[Delivery]\nResend={resend}\n")
        client = daemon.client()
        session = upstream.accept()
        client.send(b"one", b"two")
        queued(daemon, 2)
        session.close()
        status = daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 0, "the end")
        self.assertEqual(dropped(status, "toUpstream", "not_resent"), 2)
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], 0)
        daemon.wait_log(r"2 messages were dropped \(not_resent\)")
        session = upstream.accept()
        flush = self.spawn([harness.program("ftcpctl"), "--socket", daemon.control_path, "send",
                            "--flush", "three"], stderr=subprocess.PIPE, text=True)
        session.expect(b"three")
        queued(daemon, 1)
        session.close()
        self.assertEqual(flush.communicate(timeout=harness.DEADLINE)[1],
                         "ftcpctl: 1 message to the upstream was dropped meanwhile\n")
        self.assertEqual(flush.returncode, 0)
        daemon.wait_log("link: 1 message .* was sent and not a byte came back")
        upstream.accept()
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("acknowledged by the upstream's kernel, but for 3 messages that were dropped",
                      daemon.log)

    def test_what_may_not_go_again_is_dropped_and_told_with_unsent(self):
        self.lossy("unsent")

    def test_what_may_not_go_again_is_dropped_and_told_with_none(self):
        self.lossy("none")

    def test_it_is_an_attempt_that_goes_on(self):
        upstream, daemon = self.start(config="[Delivery]\nOnLinkLoss=disconnect\n"
                                             "[Health]\nFlaps=1\nCriticalAfter=0\n")
        client = daemon.client()
        daemon.wait_clients(1)
        status = daemon.status()
        self.assertEqual(status["health"], "warning")
        self.assertRegex(status["reasons"][0]["text"], "connected for .*, nothing heard yet")
        self.assertRegex(daemon.ctl("metrics")[1], r"\nftcpd_up\{.*\} 0\n")
        self.assertEqual(daemon.ctl("wait", "--timeout=0")[0], 1)
        self.assertEqual(daemon.ctl("wait", "--timeout=0", "--state=connected")[0], 0)
        screen = daemon.ctl("status")[1]
        self.assertIn("connected, nothing heard yet", screen)
        self.assertRegex(screen, "heartbeat +no byte for ")
        for _ in range(3):
            upstream.accept().close()
        session = upstream.accept()
        status = daemon.wait_state("connected")
        self.assertEqual(status["health"], "critical")  # and it does not fall back
        self.assertNotIn("times in 10 minutes", str(status["reasons"]))
        self.assertEqual(status["upstream"]["disconnects"], 0)
        client.send(b"still here")
        session.expect(b"still here")
        session.send(b"so am I")
        client.expect(b"so am I")
        daemon.wait_state("up")
        session.close()
        client.expect_end()

    def test_whoever_closes_it_is_told_when_it_is_closed(self):
        upstream, daemon = self.start()
        for verb in ("reconnect", "reconnect", "hold"):
            self.assertEqual(daemon.ctl(verb)[0], 0)
        self.assertEqual(daemon.status()["upstream"]["state"], "held")
        daemon.ctl("release")
        session = None
        for _ in range(4):
            session = upstream.accept()
        daemon.wait_state("connected")
        session.send(b"")
        daemon.wait_state("up")
        self.assertEqual(daemon.ctl("reconnect")[0], 0)

    def test_whoever_closes_it_is_told_though_the_next_is_up_at_once(self):
        for verb in ("reconnect",), ("hold", "--for=10ms"):
            upstream, daemon = self.start()
            upstream.accept()
            upstream.heartbeat = 0.5
            taken = threading.Thread(target=upstream.accept)
            taken.start()
            self.assertEqual(daemon.ctl(*verb)[0], 0)
            taken.join()
            daemon.wait_state("up")

    def test_the_health_of_a_link_that_never_comes_up_does_not_flap(self):
        upstream, daemon = self.start(config="[Heartbeat]\nTimeout=300ms\n"
                                             "[Health]\nCriticalAfter=500ms\n")
        seen = []
        end = time.monotonic() + 2
        while time.monotonic() < end or "critical" not in seen:
            seen.append(daemon.call("Health")["health"])
        self.assertNotIn("warning", seen[seen.index("critical"):])
        self.assertGreater(daemon.log.count("link: "), 0)

    def test_it_counts_as_up_for_when_down_unless_send_after_waits(self):
        _, daemon = self.start(config="[Delivery]\nWhenDown=refuse\n")
        daemon.client()
        daemon.wait_clients(1)
        upstream, daemon = self.start("SendAfter=byte", "[Delivery]\nWhenDown=refuse\n")
        daemon.client().expect_end()
        upstream.accept().send(b"")
        daemon.wait_state("up")
        daemon.client()
        daemon.wait_clients(1)

    def test_a_peer_that_speaks_only_when_asked_goes_on_working(self):
        """With all defaults; it ignores the empty message."""
        upstream, daemon = self.start(config="[Heartbeat]\nTimeout=3s\n")
        client = daemon.client()
        threading.Thread(target=self.answer, args=(upstream,), daemon=True).start()
        for i in range(harness.often(6, 60)):
            client.send(stamp(1, i))
            client.expect(stamp(2, i))
            time.sleep(0.9)
        status = daemon.status()["upstream"]
        self.assertEqual((status["state"], status["connects"], status["disconnects"]), ("up", 1, 0))

    @staticmethod
    def answer(upstream):
        session = upstream.accept()
        while (message := session.recv()) is not None:
            session.send(stamp(2, harness.unstamp(message)[1]))

    def test_a_full_queue_of_provisional_messages_makes_clients_wait(self):
        upstream, daemon = self.start(config="[Delivery]\nUpstreamQueueSize=64K\n"
                                             "[Frame]\nMaxMessageSize=16K\n")
        session = upstream.accept().collect()
        client = daemon.client()
        messages = [stamp(1, i, bytes(1000)) for i in range(300)]
        threading.Thread(target=client.send, args=messages, daemon=True).start()
        status = daemon.wait_status(
            lambda s: "has not said a byte" in str(s.get("reasons")), "the health to say so")
        self.assertRegex(str(status["reasons"]), r"the upstream's kernel acknowledged \d\d\.\dK, its "
                                                 "program has not said a byte")
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], 0)
        self.assertLess(status["toUpstream"]["accepted"]["messages"], 300)
        session.framed.send(b"")
        session.wait_count(300)
        self.assertEqual(session.messages, messages)

    def test_a_flush_and_a_stop_wait_for_the_first_byte(self):
        upstream, daemon = self.start()
        session = upstream.accept()
        client = daemon.client()
        client.send(b"one")
        queued(daemon, 1)
        self.assertEqual(daemon.ctl("flush", "--timeout=100ms")[0], 1)
        daemon.process.terminate()
        daemon.wait_log("SIGTERM")
        session.expect(b"one")
        session.send(b"")
        session.heartbeat()
        session.expect_end()
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertIn("everything was acknowledged by the upstream's kernel", daemon.log)

    def test_a_stop_tells_what_a_silent_peer_took(self):
        upstream, daemon = self.start(config=SHORT + "[Service]\nStopTimeout=60s\n")
        daemon.client().send(b"one")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to wait")
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("1 message (7 bytes) was not acknowledged by the upstream's kernel, "
                      "or only before its program said a byte", daemon.log)

    def test_with_on_silence_report_nothing_is_provisional(self):
        upstream, daemon = self.start()
        session = upstream.accept()
        daemon.client().send(b"one")
        session.expect(b"one")
        daemon.reconfigure("[Heartbeat]\nOnSilence=report\n")
        status = daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 1, "it")
        self.assertEqual(status["upstream"]["state"], "up")
        session.close()
        daemon.wait_state("up")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 1)

    def test_a_byte_counts_though_the_link_is_not_read(self):
        """A client that does not read pauses the link from before the connection on."""
        upstream, daemon = self.start(config="[Delivery]\nSlowClient=wait\nClientQueueSize=16K\n")
        client = daemon.client()
        daemon.wait_clients(1)
        session = upstream.accept()
        session.send(*[bytes(10000)] * 100)
        daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        session.close()
        session = upstream.accept()
        client.send(b"one")
        session.expect(b"one")
        session.send(b"")
        daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 1, "it")


class SendAfter(Starting):
    def gated(self, word, more=""):
        upstream, daemon = self.start(f"SendAfter={word}\n{more}", "[Heartbeat]\nTimeout=0\n")
        session = upstream.accept()
        client = daemon.client()
        client.send(b"queued")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to be queued")
        with self.assertRaises(TimeoutError):
            session.recv(timeout=0.3)
        return upstream, daemon, session, client

    def test_nothing_goes_out_before_the_first_byte(self):
        _, daemon, session, _ = self.gated("byte")
        session.send_raw(b"\0")
        session.expect(b"queued")
        daemon.wait_state("up")

    def test_nothing_goes_out_before_the_first_message_that_is_no_heartbeat(self):
        _, daemon, session, client = self.gated("answer")
        heartbeats_are_no_answer(self, daemon, session, 2)
        session.send(b"welcome")
        session.expect(b"queued")
        client.expect(b"welcome")
        daemon.wait_state("up")

    def test_two_silent_waits_in_a_row_say_what_may_help(self):
        upstream, daemon, _, _ = self.gated("byte", "GreetingTimeout=500ms")
        daemon.wait_log(r"silent: no byte within GreetingTimeout= \(SendAfter=byte\)$")
        self.assertNotIn("only when asked", daemon.log)
        daemon.wait_status(
            lambda s: s["upstream"].get("lastError", "").endswith(
                ": it may speak only when asked: SendAfter=connect"), "the advice")
        daemon.wait_log("two connections in a row: the peer may speak only when asked: Send")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)
        daemon.reconfigure("[Upstream]\nSendAfter=connect\n")
        harness.until(lambda: upstream.accept().recv() == b"queued", "it to go")


class Crash(ManagedTest):
    def crashed(self, config=""):
        """A daemon that was killed while it was connected, and its peer's kernel had 20 messages."""
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{QUICK}{config}")
        daemon.wait_state("connected")
        session = upstream.accept()
        client = daemon.client()
        messages = [stamp(1, i, bytes(100 * i)) for i in range(20)]
        client.send(*messages)
        queued(daemon, 20)
        daemon.crash()
        self.assertEqual(daemon.wait_state(("connected", "up"))["upstream"]["state"], "connected")
        self.assertEqual(daemon.status()["toUpstream"]["queued"]["messages"], 20)
        client.send(b"later")
        return upstream, daemon, session, messages + [b"later"]

    def test_the_peer_speaks_after_a_crash(self):
        _, daemon, session, messages = self.crashed()
        session.send(b"")
        status = daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 21, "all")
        self.assertEqual((status["upstream"]["connects"], status["upstream"]["disconnects"]), (1, 0))
        session.expect(*messages)
        with self.assertRaises(TimeoutError):
            session.recv(timeout=0.2)

    def test_the_peer_speaks_while_nobody_is_there(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{QUICK}")
        daemon.wait_state("connected")
        session = upstream.accept()
        daemon.client().send(b"one")
        queued(daemon, 1)
        daemon.kill()
        session.send(b"")
        session.close()
        daemon.start()
        upstream.accept().send(b"")
        status = daemon.wait_status(lambda s: s["upstream"]["connects"] == 2, "the next connection")
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], 1)
        self.assertEqual(status["upstream"]["disconnects"], 1)

    def test_the_peer_dies_after_a_crash(self):
        upstream, daemon, session, messages = self.crashed()
        session.close()
        session = upstream.accept()
        session.expect(*messages)
        self.assertEqual(daemon.status()["toUpstream"]["delivered"]["messages"], 0)
        session.send(b"")
        status = daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 21, "all")
        self.assertEqual((status["upstream"]["connects"], status["upstream"]["disconnects"]), (1, 0))

    def test_what_send_after_waits_for_is_awaited_after_a_crash(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\nSendAfter=answer\n")
        daemon.wait_state("connected")
        session = upstream.accept()
        daemon.client().send(b"one")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it")
        daemon.crash()
        heartbeats_are_no_answer(self, daemon, session, 1)
        session.send(b"answer")
        session.expect(b"one")
        daemon.wait_state("up")

    def test_a_restart_does_not_wait_for_a_peer_that_says_nothing(self):
        upstream, daemon, session, messages = self.crashed("[Service]\nStopTimeout=60s\n")
        start = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - start, 30)
        daemon.start()
        daemon.wait_state("connected")
        session.send(b"")
        session.expect(*messages)
        daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 21, "all")


if __name__ == "__main__":
    harness.main()

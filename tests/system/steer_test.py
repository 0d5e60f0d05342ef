# SPDX-License-Identifier: MIT
"""What operators do to the link and the clients: hold, release, reconnect, drop, log-level."""
import os
import random
import re
import signal
import socket
import subprocess
import time

import harness
from local import check_books, stays
from manager import ManagedTest

QUICK = "ReconnectDelay=50ms\nReconnectDelayMax=100ms\n"
PATIENT = f"[Service]\nStopTimeout={120 * harness.SLOW:.0f}s\n"  # nobody waits for so long


class SteerTest(harness.SystemTest):
    def ctl(self, daemon, *args, **options):
        """ftcpctl to its end: exit code, stdout, stderr."""
        done = subprocess.run(
            [harness.program("ftcpctl"), "--socket", daemon.control_path, *args],
            capture_output=True,
            text=True,
            timeout=harness.DEADLINE,
            check=False,
            **options,
        )
        return done.returncode, done.stdout, done.stderr

    def steer(self, daemon, *args):
        """The same, which must work; returns the one line that it prints."""
        code, out, err = self.ctl(daemon, *args)
        self.assertEqual((code, err), (0, ""), out)
        self.assertEqual(out.count("\n"), 1, out)
        return out.strip()

    def link_events(self, daemon):
        return [e for e in daemon.call("RecentEvents")["events"] if e["kind"] == "link"]

    def deaf(self, config=""):
        """A link whose upstream does not read yet, in the middle of the first of two messages."""
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{QUICK}{config}")
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(3000000)) for i in range(2)]
        client.send(*messages)
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 2, "both messages")
        return upstream, daemon, session, client, messages

    def refused(self, config=""):
        """A daemon whose upstream refuses, and that waits for long before its next attempt."""
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=1h\nReconnectDelayMax=1h\n"
            + config
        )
        daemon.wait_state("waiting")
        return upstream, daemon

    def silent(self):
        """A daemon whose connection attempt gets no answer."""
        mute = self.upstream(backlog=0)
        for _ in range(2):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex((mute.host, mute.port))
        daemon = self.daemon(
            f"[Upstream]\nAddress={mute.address}\nConnectTimeout=1h\n"
        )
        daemon.wait_state("connecting")
        return mute, daemon

    @staticmethod
    def take_one(upstream):
        """Accepts whatever waits in the backlog, and keeps it."""
        upstream.listener.settimeout(0)
        try:
            upstream.sessions.append(harness.Framed(upstream.listener.accept()[0]))
        except BlockingIOError:
            pass

    @staticmethod
    def is_up(daemon):
        return daemon.status()["upstream"]["state"] == "up"

    def unanswered(self):
        """A daemon that waits for the answer to its greeting."""
        upstream = self.upstream()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n{QUICK}Greeting=hello\nGreetingExpect=OK\n"
        )
        session = upstream.accept()
        session.expect(b"hello")
        daemon.wait_state("greeting")
        return upstream, daemon, session


class Hold(SteerTest):
    def test_a_link_that_is_only_up_until_it_is_held_is_closing(self):
        _, daemon, session, _, messages = self.deaf(PATIENT)
        daemon.call("Hold", reason="works")
        self.assertTrue(self.is_up(daemon))  # what was begun is finished
        out = self.ctl(daemon, "status")[1]
        self.assertIn("closing, to be held", out)
        self.assertNotRegex(out, r"(?m)^\s*link +up")
        self.assertEqual(self.ctl(daemon, "wait", "--timeout=0")[0], 1)
        text = self.ctl(daemon, "metrics")[1]
        self.assertIn('ftcpd_up{link="ftcpd"} 0\n', text)
        self.assertIn('ftcpd_link_state{link="ftcpd",state="held"} 1\n', text)
        self.assertIn('ftcpd_link_state{link="ftcpd",state="up"} 0\n', text)
        self.assertIn("|up=0 ", self.ctl(daemon, "health", "--nagios")[1])
        session.expect(messages[0])
        self.assertEqual(self.ctl(daemon, "wait", "--state=held")[0], 0)

    def test_a_held_link_is_closed_and_stays_so_until_it_is_released(self):
        upstream, daemon, session = self.linked(QUICK)
        client = daemon.client()
        daemon.wait_clients(1)
        line = self.steer(daemon, "hold", "--reason=works on the line")
        self.assertEqual(line, "the link is held, until `ftcpctl release`")
        self.assertEqual(session.expect_end(), "closed")
        status = daemon.status()["upstream"]
        self.assertEqual((status["state"], status["heldBy"]), ("held", "root"))
        self.assertEqual(status["heldReason"], "works on the line")
        self.assertEqual(status["lastCause"], "held")
        for absent in ("heldForUsec", "nextAttemptUsec", "peer"):
            self.assertNotIn(absent, status)
        event = self.link_events(daemon)[-1]
        self.assertEqual((event["state"], event["cause"]), ("held", "held"))
        self.assertEqual(event["text"], "held by root: works on the line")
        daemon.wait_log("link: held by root: works on the line")
        client.send(b"meanwhile")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to wait")
        stays(lambda: daemon.status()["upstream"]["connects"] == 1)
        self.assertEqual(self.steer(daemon, "release"), "the link is released")
        upstream.accept().expect(b"meanwhile")
        status = check_books(daemon.wait_state("up"))["upstream"]
        self.assertNotIn("heldBy", status)
        self.assertNotIn("heldReason", status)
        daemon.wait_log("link: released by root; it was held for")
        self.assertIn("released by root", [e["text"] for e in self.link_events(daemon)])

    def test_the_half_written_message_is_finished_and_no_other_begun(self):
        upstream, daemon, session, _, messages = self.deaf(PATIENT)
        daemon.call("Hold")
        status = daemon.status()["upstream"]
        self.assertEqual((status["state"], status["heldBy"]), ("up", "root"))
        session.expect(messages[0])
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        daemon.wait_state("held")
        daemon.call("Release")
        upstream.accept().expect(messages[1])
        self.assertEqual(daemon.wait_state("up")["upstream"]["resent"]["messages"], 0)

    def test_a_peer_that_takes_nothing_is_waited_for_as_long_as_stop_timeout(self):
        upstream, daemon, _, _, messages = self.deaf("[Service]\nStopTimeout=300ms\n")
        self.steer(daemon, "hold")
        self.assertEqual(daemon.status()["upstream"]["state"], "held")
        daemon.call("Release")
        upstream.accept().expect(*messages)
        check_books(daemon.status())

    def test_asking_again_does_not_give_the_peer_more_time(self):
        _, daemon, _, _, _ = self.deaf("[Service]\nStopTimeout=1s\n")

        def held():
            daemon.call("Hold")
            return daemon.status()["upstream"]["state"] == "held"

        harness.until(held, "the link to be held", interval=0.1)

    def test_a_release_while_the_connection_is_being_closed_connects_anew_behind_it(self):
        upstream, daemon, session, _, messages = self.deaf(PATIENT)
        daemon.call("Hold")
        daemon.call("Release")
        self.assertNotIn("heldBy", daemon.status()["upstream"])
        session.expect(messages[0])
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        upstream.accept().expect(messages[1])
        self.assertEqual(daemon.wait_state("up")["upstream"]["connects"], 2)

    def test_a_link_that_waits_for_its_next_attempt_is_held_at_once(self):
        upstream, daemon = self.refused()
        self.steer(daemon, "hold")
        status = daemon.status()["upstream"]
        self.assertEqual((status["state"], status["disconnects"]), ("held", 0))
        upstream.listen()
        self.steer(daemon, "release")
        upstream.accept()
        daemon.wait_state("up")

    def test_a_connection_attempt_is_given_up(self):
        mute, daemon = self.silent()
        self.steer(daemon, "hold")
        self.assertEqual(daemon.status()["upstream"]["state"], "held")
        self.take_one(mute)  # an attempt under way would succeed now
        stays(lambda: daemon.status()["upstream"]["state"] == "held")
        self.assertEqual(daemon.status()["upstream"]["connects"], 0)
        self.steer(daemon, "release")
        harness.until(lambda: self.take_one(mute) or self.is_up(daemon), "the link to be up")

    def test_a_name_that_is_being_resolved_is_given_up(self):
        upstream = self.upstream(backlog=200)  # some attempts will succeed
        daemon = self.daemon(
            f"[Upstream]\nAddress=localhost:{upstream.port}\n{QUICK}", wait=False
        )
        harness.until(daemon._answers, "ftcpd to answer")
        for _ in range(50):  # wherever it is
            daemon.call("Hold")
            self.assertIn("heldBy", daemon.status()["upstream"])
            daemon.wait_state("held")
            daemon.call("Release")
        daemon.wait_state("up")

    def test_a_link_that_waits_for_the_answer_to_its_greeting_is_closed(self):
        upstream, daemon, session = self.unanswered()
        client = daemon.client()
        client.send(b"data")
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 1, "a message")
        daemon.call("Hold")
        session.send(b"OK")  # too late: nothing is to be sent any more
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        daemon.wait_state("held")
        self.assertNotIn("up", [e["state"] for e in self.link_events(daemon)])
        daemon.call("Release")
        session = upstream.accept()
        session.expect(b"hello")
        session.send(b"OK")
        session.expect(b"data")

    def test_a_hold_that_is_over_by_itself_connects_anew(self):
        upstream, daemon, session = self.linked(QUICK)
        line = self.steer(daemon, "hold", "--for=1s 500ms")
        self.assertRegex(line, r"held, for 1s 500ms, until .*\d\d:\d\d.*, or `ftcpctl release`$")
        session.expect_end()
        upstream.accept()
        daemon.wait_state("up")
        self.assertIn("the time of the hold is over", daemon.log)
        self.assertNotIn("heldBy", daemon.status()["upstream"])

    @harness.in_time
    def test_a_hold_without_an_end_replaces_one_with(self):
        _, daemon, _ = self.linked(QUICK)
        daemon.call("Hold", reason="first", forUsec=3600_000_000)
        before = daemon.wait_state("held")["upstream"]
        self.assertLessEqual(before["heldForUsec"], 3600_000_000)
        self.assertGreater(before["heldForUsec"], 3000_000_000)
        daemon.call("Hold", reason="second", forUsec=2_000_000)
        self.assertEqual(daemon.status()["upstream"]["heldReason"], "second")
        daemon.call("Hold")
        status = daemon.status()["upstream"]
        self.assertNotIn("heldReason", status)
        self.assertNotIn("heldForUsec", status)
        self.assertGreaterEqual(status["stateUsec"], before["stateUsec"])
        stays(lambda: daemon.status()["upstream"]["state"] == "held", 2.5)

    def test_who_asked_by_sudo_is_named(self):
        if os.geteuid() != 0:
            self.skipTest("only root is asked whose wish it is")
        _, daemon, _ = self.linked(QUICK)
        os.environ["SUDO_USER"] = "alice"
        self.addCleanup(os.environ.pop, "SUDO_USER")
        for given, kept in (([], "sudo by alice"), (["--reason=cable"], "sudo by alice: cable")):
            self.steer(daemon, "hold", *given)
            self.assertEqual(daemon.status()["upstream"]["heldReason"], kept)

    def test_a_time_that_is_none_is_refused(self):
        _, daemon, _ = self.linked()
        for span in (0, -1, -(1 << 62)):
            with self.assertRaises(harness.VarlinkError) as raised:
                daemon.call("Hold", forUsec=span)
            self.assertEqual(raised.exception.name, "org.varlink.service.InvalidParameter")
            self.assertEqual(raised.exception.parameters, {"parameter": "forUsec"})
        self.assertEqual(self.ctl(daemon, "hold", "--for=0")[0], 2)
        self.assertEqual(self.ctl(daemon, "hold", "--for=soon")[0], 2)
        self.assertIn("100 years", self.ctl(daemon, "hold", "--for=37000d")[2])
        self.assertEqual(self.ctl(daemon, "hold", "for works")[0], 2)
        self.assertNotIn("heldBy", daemon.status()["upstream"])
        daemon.call("Hold", forUsec=(1 << 63) - 1)
        self.assertIn("heldBy", daemon.status()["upstream"])

    def test_a_reason_is_cut_between_two_characters_and_cannot_steer_a_terminal(self):
        _, daemon, _ = self.linked()
        daemon.call("Hold", reason="\u20ac" * 100000)
        daemon.wait_state("held")
        self.assertEqual(daemon.status()["upstream"]["heldReason"], "\u20ac" * 85)
        daemon.call("Hold", reason="a\x1b[31mb\nc")
        self.assertEqual(daemon.status()["upstream"]["heldReason"], "a\\x1b[31mb\\nc")
        self.assertEqual(self.link_events(daemon)[-1]["text"], "held by root: a\\x1b[31mb\\nc")
        self.assertNotIn("\x1b", daemon.log)

    def test_to_release_what_is_not_held_is_nothing(self):
        _, daemon, session = self.linked()
        events = daemon.call("RecentEvents")
        self.assertEqual(self.steer(daemon, "release"), "the link was not held")
        self.assertEqual(daemon.call("RecentEvents"), events)
        self.assertEqual(daemon.status()["upstream"]["connects"], 1)
        session.send(b"still there")

    def test_what_health_says_of_it_the_configuration_says(self):
        upstream = self.upstream()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n[Health]\nHeld=ok\nCriticalAfter=0\n"
        )
        upstream.accept()
        daemon.wait_state("up")
        daemon.call("Hold", reason="works")
        daemon.wait_state("held")
        for word, code in (("ok", 0), ("warning", 1), ("critical", 2)):
            daemon.reconfigure(f"[Health]\nHeld={word}\n")
            health = daemon.call("Health")
            self.assertEqual(health["health"], word)
            self.assertEqual(
                health["reasons"], [{"severity": word, "text": "the link is held by root: works"}]
            )
            self.assertEqual(self.ctl(daemon, "health")[0], code)

    def test_the_time_of_a_hold_does_not_count_as_time_down(self):
        upstream, daemon, _ = self.linked("[Health]\nCriticalAfter=10s\n")
        daemon.call("Hold")
        held = daemon.wait_state("held")["upstream"]["stateUsec"]
        upstream.refuse()
        begun = time.monotonic()
        stays(lambda: daemon.call("Health")["health"] == "warning", 1.2)
        released = time.monotonic()
        daemon.call("Release")
        text = daemon.call("Health")["reasons"][0]["text"]
        down = re.search(r"not been up for (?:(\d+)s ?)?(?:(\d+)ms)?", text)
        down = int(down[1] or 0) + int(down[2] or 0) / 1000
        self.assertLess(down, time.monotonic() - released + 0.1, (text, held, released - begun))

    def test_clients_of_a_link_that_is_held_fare_as_while_it_is_down(self):
        _, daemon, _ = self.linked("[Delivery]\nWhenDown=refuse\n")
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.call("Hold")
        client.expect_end()
        daemon.wait_state("held")
        with daemon.client() as late:
            late.expect_end()

    def test_what_the_peer_sends_last_is_delivered(self):
        _, daemon, session, client, messages = self.deaf(
            PATIENT + "[Delivery]\nOnLinkLoss=disconnect\n"
        )
        daemon.call("Hold")
        session.send(b"the last word")
        session.expect(messages[0])
        client.expect(b"the last word")
        session.expect_end()
        session.close()
        client.expect_end()

    def test_another_address_while_it_is_held_is_the_one_that_is_dialled(self):
        _, daemon, session = self.linked(QUICK)
        self.steer(daemon, "hold")
        session.close()
        other = self.upstream()
        daemon.configure(f"[Upstream]\nAddress={other.address}\n{QUICK}")
        daemon.call("Reload")
        self.assertEqual(daemon.status()["upstream"]["state"], "held")
        self.steer(daemon, "release")
        other.accept()
        daemon.wait_state("up")

    def test_a_stop_while_it_is_being_closed_begins_no_message_either(self):
        _, daemon, session, _, messages = self.deaf(PATIENT)
        daemon.call("Hold")
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.wait_log("SIGTERM: stopping")
        session.expect(messages[0])
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertIn("stopped; 1 message", daemon.log)

    def test_a_stop_while_it_is_held_sends_nothing_and_ends_it(self):
        upstream, daemon, session = self.linked(QUICK)
        self.steer(daemon, "hold")
        session.close()
        client = daemon.client()
        client.send(b"never")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to wait")
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("stopped; 1 message", daemon.log)
        daemon.start()
        upstream.accept()
        self.assertNotIn("heldBy", daemon.wait_state("up")["upstream"])


class Handover(SteerTest, ManagedTest):
    """The hold goes over to the next process, whenever the last one ends."""

    def test_a_held_link_stays_held_and_its_time_goes_on(self):
        upstream, daemon, session = self.linked(QUICK)
        daemon.call("Hold", reason="works", forUsec=3600_000_000)
        daemon.wait_state("held")
        session.close()
        client = daemon.client()
        client.send(b"meanwhile")
        before = daemon.wait_status(
            lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to wait"
        )
        daemon.crash()
        after = daemon.status()
        self.assertEqual(after["upstream"]["state"], "held")
        for key in ("heldBy", "heldReason", "connects", "disconnects"):
            self.assertEqual(after["upstream"][key], before["upstream"][key])
        self.assertLess(after["upstream"]["heldForUsec"], before["upstream"]["heldForUsec"])
        self.assertGreaterEqual(after["upstream"]["stateUsec"], before["upstream"]["stateUsec"])
        self.assertRegex(daemon.log, r"link: held by root for 59min .*: works;")
        stays(lambda: daemon.status()["upstream"]["connects"] == 1)
        daemon.call("Release")
        upstream.accept().expect(b"meanwhile")
        daemon.wait_state("up")
        daemon.crash()
        self.assertNotIn("heldBy", daemon.status()["upstream"])
        client.send(b"on")
        upstream.sessions[-1].expect(b"on")

    def test_a_hold_whose_time_ends_while_nobody_is_there_is_over(self):
        upstream, daemon, session = self.linked(QUICK)
        daemon.call("Hold", forUsec=500_000)
        daemon.kill()
        session.close()
        time.sleep(0.6)
        daemon.start()
        upstream.accept()
        self.assertNotIn("heldBy", daemon.wait_state("up")["upstream"])
        self.assertIn("the time of the hold is over", daemon.log)

    def test_a_hold_ends_by_itself_in_the_next_process(self):
        upstream, daemon, session = self.linked(QUICK)
        daemon.call("Hold", forUsec=2_000_000)
        session.expect_end()
        session.close()
        daemon.crash()
        upstream.accept()
        daemon.wait_state("up")

    def test_a_connection_that_was_being_closed_is_closed_by_the_next_process(self):
        upstream, daemon, session, client, messages = self.deaf(PATIENT)
        daemon.call("Hold")
        daemon.crash()
        self.assertEqual(daemon.status()["upstream"]["heldBy"], "root")
        session.expect(messages[0])
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        status = daemon.wait_state("held")["upstream"]
        self.assertEqual((status["connects"], status["disconnects"]), (1, 1))
        daemon.crash()
        daemon.wait_state("held")
        daemon.call("Release")
        upstream.accept().expect(messages[1])
        client.send(b"more")
        upstream.sessions[-1].expect(b"more")
        check_books(daemon.status())

    def test_a_connection_that_was_not_greeted_yet_is_not_made_again(self):
        upstream, daemon, session = self.unanswered()
        daemon.freeze()  # so that it dies before the connection is closed
        self.ask(daemon, "Hold")
        daemon.thaw()
        harness.until(lambda: "held by root" in daemon.log, "it to be held")
        daemon.crash()
        daemon.wait_state("held")
        self.assertEqual(daemon.status()["upstream"]["connects"], 1)
        daemon.call("Release")
        upstream.accept().expect(b"hello")

    def test_one_that_was_closed_for_a_reconnect_is_not_taken_for_one_that_is_up(self):
        upstream, daemon, session = self.linked("ReconnectDelay=1h\nReconnectDelayMax=1h\n")
        self.ask(daemon, "Reconnect")
        self.assertEqual(session.expect_end(), "closed")  # and we keep our side of it open
        daemon.crash()
        client = daemon.client()
        client.send(b"on")
        upstream.accept().expect(b"on")
        status = daemon.wait_state("up")["upstream"]
        self.assertIn(status["lastCause"], ("operator", "none"))

    def ask(self, daemon, method):
        """Asks, and does not wait for the answer."""
        varlink = harness.Varlink(daemon.control_path)
        self.addCleanup(varlink.close)
        varlink.send({"method": f"io.ftcpd.{method}"})

    def test_clients_are_not_dismissed_once_more(self):
        _, daemon, session = self.linked("[Delivery]\nOnLinkLoss=disconnect\n")
        first = daemon.client()
        daemon.wait_clients(1)
        daemon.call("Hold")
        first.expect_end()
        session.close()
        daemon.wait_state("held")
        second = daemon.client()
        daemon.wait_clients(1)
        daemon.crash()
        stays(lambda: daemon.status()["clients"] == 1)
        second.send(b"still there")

    def test_hold_and_release_at_any_instant_of_crashes_lose_nothing(self):
        upstream, daemon, session = self.linked(QUICK, backlog=200)
        rng = random.Random(number := harness.seed())
        print("seed", number)
        client = daemon.client()
        sent = 0
        for _ in range(15):
            client.send(*[harness.stamp(1, sent + i) for i in range(10)])
            sent += 10
            self.ask(daemon, rng.choice(["Hold", "Release", "Reconnect"]))
            time.sleep(rng.random() * 0.02)
            daemon.crash()
        daemon.call("Release")
        seen = []
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 0,
                           "everything to be delivered")
        while True:
            while (message := self.next_of(session)) is not None:
                seen.append(harness.unstamp(message)[1])
            if len(set(seen)) == sent:
                break
            session = upstream.accept()
        # Resend=unacked: what was not acknowledged may come twice, but nothing is lost or new
        # before what is older.
        first = [n for i, n in enumerate(seen) if n not in seen[:i]]
        self.assertEqual(first, list(range(sent)))
        check_books(daemon.status())

    @staticmethod
    def next_of(session):
        """The next message, or None where none comes at once."""
        try:
            return session.recv(timeout=0.5 * harness.SLOW)
        except (TimeoutError, ConnectionResetError):
            return None


class Reconnect(SteerTest):
    def test_a_link_that_is_up_is_closed_quietly_and_made_anew(self):
        upstream, daemon, session = self.linked("ReconnectDelay=1h\nReconnectDelayMax=1h\n")
        session.send(b"data")
        self.assertEqual(self.steer(daemon, "reconnect"), "the link connects anew")
        self.assertEqual(session.expect_end(), "closed")
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual((status["connects"], status["disconnects"]), (2, 1))
        self.assertEqual(status["lastCause"], "operator")
        self.assertEqual(status["lastError"], "root asked for a new connection")
        self.assertIn(("waiting", "operator"),
                      [(e["state"], e["cause"]) for e in self.link_events(daemon)])

    def test_the_half_written_message_is_finished_and_no_other_begun(self):
        upstream, daemon, session, _, messages = self.deaf(PATIENT)
        daemon.call("Reconnect")
        daemon.call("Reconnect")
        session.expect(messages[0])
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        upstream.accept().expect(messages[1])
        self.assertEqual(daemon.wait_state("up")["upstream"]["resent"]["messages"], 0)

    def test_a_link_that_waits_for_its_next_attempt_makes_it_now(self):
        upstream, daemon = self.refused()
        upstream.listen()
        self.steer(daemon, "reconnect")
        upstream.accept()
        daemon.wait_state("up")

    def test_a_connection_attempt_is_made_anew(self):
        mute, daemon = self.silent()
        self.steer(daemon, "reconnect")
        harness.until(lambda: len(self.link_events(daemon)) == 3, "another attempt")
        self.assertEqual([(e["state"], e["cause"]) for e in self.link_events(daemon)],
                         [("connecting", "none"), ("waiting", "operator"), ("connecting", "none")])
        harness.until(lambda: self.take_one(mute) or self.is_up(daemon), "the link to be up")

    def test_a_link_that_waits_for_the_answer_to_its_greeting_is_made_anew(self):
        upstream, daemon, session = self.unanswered()
        daemon.call("Reconnect")
        session.send(b"OK")
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        session = upstream.accept()
        session.expect(b"hello")
        session.send(b"OK")
        daemon.wait_state("up")
        self.assertEqual([e["state"] for e in self.link_events(daemon)].count("up"), 1)

    def test_a_held_link_stays_held_and_the_verb_says_so(self):
        _, daemon, _ = self.linked()
        self.steer(daemon, "hold")
        code, out, err = self.ctl(daemon, "reconnect")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("the link is held by root: `ftcpctl release`", err)
        stays(lambda: daemon.status()["upstream"]["state"] == "held")

    def test_an_operators_closes_are_no_flapping(self):
        upstream, daemon, session = self.linked("[Health]\nFlaps=1\n")
        for verb in (("reconnect",), ("hold",), ("release",)):
            self.steer(daemon, *verb)
            if verb != ("hold",):
                session = upstream.accept()
                daemon.wait_state("up")
        self.assertEqual(daemon.call("Health"), {"health": "ok", "reasons": []})
        session.send(b"fine")

    def test_at_every_moment_of_a_dial_all_of_them_harm_nothing(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nAddress=localhost:{upstream.port}\n"
            "ReconnectDelay=1ms\nReconnectDelayMax=1ms\n",
            env={"MALLOC_PERTURB_": "85"},
        )
        end = time.monotonic() + 1.5
        with harness.Varlink(daemon.control_path) as varlink:
            while time.monotonic() < end:
                for method in ("Reconnect", "Hold", "Reconnect", "Hold", "Release", "Reload"):
                    varlink.call(f"io.ftcpd.{method}")
        upstream.listen()
        upstream.accept()
        daemon.wait_state("up")


class DropClient(SteerTest):
    def test_a_client_is_disconnected_and_all_are_told_why(self):
        _, daemon, session = self.linked()
        first, second = daemon.client(), daemon.client()
        daemon.wait_clients(2)
        self.assertEqual(self.steer(daemon, "drop", "1"), "client 1 is disconnected")
        first.expect_end()
        session.send(b"still")
        second.expect(b"still")
        daemon.wait_log("client 1 .*dropped by root")
        event = [e for e in daemon.call("RecentEvents")["events"] if e.get("clientId") == 1][-1]
        self.assertIn("is disconnected: dropped by root", event["text"])
        self.assertEqual(daemon.status()["clients"], 1)

    def test_what_waits_for_it_is_in_the_books(self):
        _, daemon, session = self.linked("[Delivery]\nSlowClient=wait\n")
        daemon.client()
        daemon.wait_clients(1)
        for i in range(5):
            session.send(harness.stamp(1, i, bytes(400_000)))
        daemon.wait_status(lambda s: s["toClients"]["accepted"]["messages"] == 5, "5 messages")
        self.steer(daemon, "drop", "1")
        status = check_books(daemon.wait_clients(0))
        self.assertEqual(status["toClients"]["queued"]["messages"], 0)

    def test_one_that_is_not_there_is_an_error(self):
        _, daemon, _ = self.linked()
        daemon.client().close()
        daemon.wait_status(
            lambda s: s["clientsAccepted"] == 1 and s["clients"] == 0, "it to be gone"
        )
        for number in (1, 2, 0, -1, (1 << 63) - 1):
            with self.assertRaises(harness.VarlinkError) as raised:
                daemon.call("DropClient", id=number)
            self.assertEqual(raised.exception.name, "io.ftcpd.NoSuchClient")
            self.assertEqual(raised.exception.parameters, {"id": number})
        code, out, err = self.ctl(daemon, "drop", "7")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("there is no client 7", err)
        self.assertEqual(self.ctl(daemon, "drop")[0], 2)
        self.assertEqual(self.ctl(daemon, "drop", "me")[0], 2)


class LogLevel(SteerTest):
    def test_a_level_holds_until_a_reload(self):
        _, daemon, _ = self.linked()
        self.assertNotIn("control: a client's connection ends", daemon.log)
        line = self.steer(daemon, "log-level", "debug")
        self.assertEqual(line, "the log level is debug, until a reload or restart")
        daemon.wait_log("root has set the log level to debug")
        self.assertRegex(self.ctl(daemon, "config")[1], r"(?m)^  LogLevel +debug +log-level$")
        daemon.status()
        daemon.wait_log("control: a client's connection ends")
        event = [e for e in daemon.call("RecentEvents")["events"] if e["kind"] == "service"][-1]
        self.assertEqual(event["text"], "root has set the log level to debug")
        # What is so already is no news.
        daemon.call("SetLogLevel", level="debug")
        again = [e for e in daemon.call("RecentEvents")["events"] if e["kind"] == "service"][-1]
        self.assertEqual(again["seq"], event["seq"])
        daemon.call("Reload")
        harness.until(lambda: self.is_quiet(daemon), "it to say less again")
        self.assertRegex(self.ctl(daemon, "config")[1], r"(?m)^  LogLevel +info +default$")

    def test_a_reload_takes_the_level_of_the_command_line_again(self):
        upstream = self.upstream()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n[Service]\nLogLevel=debug\n",
            args=["--log-level", "notice"],
        )
        upstream.accept()
        daemon.wait_state("up")
        daemon.call("SetLogLevel", level="debug")
        daemon.call("Reload")
        self.assertRegex(self.ctl(daemon, "config")[1], r"(?m)^  LogLevel +notice +--log-level$")
        harness.until(lambda: self.is_quiet(daemon), "it to say less again")

    @staticmethod
    def is_quiet(daemon):
        before = daemon.log
        daemon.status()
        daemon.status()
        return daemon.log == before

    def test_another_word_is_refused(self):
        _, daemon, _ = self.linked()
        for level in ("loud", "", "7", "DEBUG"):
            with self.assertRaises(harness.VarlinkError) as raised:
                daemon.call("SetLogLevel", level=level)
            self.assertEqual(raised.exception.name, "org.varlink.service.InvalidParameter")
            self.assertEqual(raised.exception.parameters, {"parameter": "level"})
        code, _, err = self.ctl(daemon, "log-level", "loud")
        self.assertEqual(code, 2)
        self.assertIn("expected emerg, alert", err)
        self.assertEqual(self.ctl(daemon, "log-level")[0], 2)


if __name__ == "__main__":
    harness.main()

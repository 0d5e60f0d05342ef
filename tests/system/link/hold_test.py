# SPDX-License-Identifier: MIT
"""Hold and release."""
import os
import random
import re
import signal
import time

import harness
from local import check_books, stays
from manager import ManagedTest
from steering import PATIENT, QUICK, SteerTest


class Hold(SteerTest):
    def test_a_link_that_is_only_up_until_it_is_held_is_closing(self):
        _, daemon, session, _, messages = self.deaf(PATIENT)
        daemon.call("Hold", reason="works")
        self.assertTrue(self.is_up(daemon))  # what was begun is finished
        out = daemon.ctl("status")[1]
        self.assertIn("closing, to be held", out)
        self.assertNotRegex(out, r"(?m)^\s*link +up")
        self.assertEqual(daemon.ctl("wait", "--timeout=0")[0], 1)
        text = daemon.ctl("metrics")[1]
        self.assertIn('ftcpd_up{link="ftcpd"} 0\n', text)
        self.assertIn('ftcpd_link_state{link="ftcpd",state="held"} 1\n', text)
        self.assertIn('ftcpd_link_state{link="ftcpd",state="up"} 0\n', text)
        self.assertIn("|up=0 ", daemon.ctl("health", "--nagios")[1])
        session.expect(messages[0])
        self.assertEqual(daemon.ctl("wait", "--state=held")[0], 0)

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
        daemon.wait_state("connected")

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
        self.assertEqual(daemon.ctl("hold", "--for=0")[0], 2)
        self.assertEqual(daemon.ctl("hold", "--for=soon")[0], 2)
        self.assertIn("100 years", daemon.ctl("hold", "--for=37000d")[2])
        self.assertEqual(daemon.ctl("hold", "for works")[0], 2)
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
            self.assertEqual(daemon.ctl("health")[0], code)

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
        for _ in range(harness.often(15, 300)):
            client.send(*[harness.stamp(1, sent + i) for i in range(10)])
            sent += 10
            self.ask(daemon, rng.choice(["Hold", "Release", "Reconnect"]))
            time.sleep(rng.random() * 0.02)
            daemon.crash()
        daemon.call("Release")
        seen = []
        while True:
            while (message := self.next_of(session)) is not None:
                seen.append(harness.unstamp(message)[1])
            if len(set(seen)) == sent:
                break
            session = upstream.accept()
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 0,
                           "everything to be delivered")
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


if __name__ == "__main__":
    harness.main()

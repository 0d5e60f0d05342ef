# SPDX-License-Identifier: MIT
"""What operators do to the link and the clients, but for hold_test: reconnect, drop, log-level."""
import time

import harness
from local import check_books, stays
from steering import PATIENT, SteerTest


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
        code, out, err = daemon.ctl("reconnect")
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
        code, out, err = daemon.ctl("drop", "7")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("there is no client 7", err)
        self.assertEqual(daemon.ctl("drop")[0], 2)
        self.assertEqual(daemon.ctl("drop", "me")[0], 2)


class LogLevel(SteerTest):
    def test_a_level_holds_until_a_reload(self):
        _, daemon, _ = self.linked()
        self.assertNotIn("control: a client's connection ends", daemon.log)
        line = self.steer(daemon, "log-level", "debug")
        self.assertEqual(line, "the log level is debug, until a reload or restart")
        daemon.wait_log("root has set the log level to debug")
        self.assertRegex(daemon.ctl("config")[1], r"(?m)^  LogLevel +debug +log-level$")
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
        self.assertRegex(daemon.ctl("config")[1], r"(?m)^  LogLevel +info +default$")

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
        self.assertRegex(daemon.ctl("config")[1], r"(?m)^  LogLevel +notice +--log-level$")
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
        code, _, err = daemon.ctl("log-level", "loud")
        self.assertEqual(code, 2)
        self.assertIn("expected emerg, alert", err)
        self.assertEqual(daemon.ctl("log-level")[0], 2)


if __name__ == "__main__":
    harness.main()

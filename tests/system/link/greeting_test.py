# SPDX-License-Identifier: MIT
"""What is said first on every connection, the gate that an expected answer is, and its secrets."""
import json
import os
import subprocess
import tempfile
import time

import harness

SECRETS = (b"LOGIN alice s3cr3t-word", b"SECOND t0ken-7c1f", b"WELCOME-kn0ck")
GREETING = "".join(f"Greeting={secret.decode()}\n" for secret in SECRETS[:2])
EXPECT = f"GreetingExpect={SECRETS[2].decode()}\n"
DEBUG = "[Service]\nLogLevel=debug\n"
NO_HEARTBEAT = "[Heartbeat]\nInterval=0\nTimeout=0\n"


class Greeting(harness.SystemTest):
    def start(self, keys="", rest=""):
        """A daemon with both greetings, and the first session; they have been received."""
        self.upstream_ = self.upstream(heartbeat=None)
        daemon = self.daemon(
            f"[Upstream]\nAddress={self.upstream_.address}\nReconnectDelay=20ms\n{GREETING}{keys}\n"
            f"{rest}\n{DEBUG}"
        )
        session = self.upstream_.accept()
        session.expect(*SECRETS[:2])
        return daemon, session

    def gated(self, keys="", rest=""):
        """The same with an answer to wait for, which did not come yet."""
        daemon, session = self.start(EXPECT + keys, rest)
        daemon.wait_state("greeting")
        return daemon, session

    def check_secrets(self, daemon):
        """None of them is in anything that one can read."""
        ctl = [harness.program("ftcpctl"), "--socket", daemon.control_path]
        texts = [daemon.log]
        for method in ("Status", "GetConfig", "ListClients", "Health"):
            texts.append(json.dumps(daemon.call(method)))
        for verb in (["status"], ["-j", "status"], ["call", "io.ftcpd.GetConfig"]):
            result = subprocess.run(ctl + verb, capture_output=True, text=True, check=True)
            texts.append(result.stdout)
        for text in texts:
            for word in (b"s3cr3t-word", b"t0ken-7c1f", b"kn0ck"):
                self.assertNotIn(word.decode(), text)
        shown = {s["key"]: s["value"] for s in daemon.call("GetConfig")["settings"]}
        self.assertEqual(shown["Greeting"], "(set, 2 messages)")

    def test_an_answer_that_is_expected_no_more_comes_while_the_link_is_closed(self):
        upstream = self.upstream()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nGreeting=hello\nGreetingExpect=welcome\n")
        session = upstream.accept()
        session.expect(b"hello")
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\nGreeting=hello\n")
        daemon.call("Reload")
        session.expect_end()
        session.send(b"welcome")
        session.close()
        upstream.accept().expect(b"hello")
        daemon.wait_state("up")

    def test_greetings_go_first_on_every_connection(self):
        upstream = self.upstream(heartbeat=None)
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=20ms\n"
            f"ReconnectDelayMax=50ms\n{GREETING}{NO_HEARTBEAT}"
        )
        client = daemon.client()
        client.send(b"queued before the first connection")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to be queued")
        upstream.listen()
        session = upstream.accept()
        session.expect(*SECRETS[:2], b"queued before the first connection")
        daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 1, "it to arrive")
        for _ in range(3):
            session.reset()
            client.send(b"queued while it was down")
            session = upstream.accept()
            session.expect(*SECRETS[:2], b"queued while it was down")
        status = daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 4, "all")
        self.assertEqual(status["upstream"]["sent"]["messages"], 4, "greetings are in no book")
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], 4)

    def test_nothing_goes_out_until_the_answer_came_and_it_is_not_passed_on(self):
        daemon, session = self.gated("", "[Heartbeat]\nInterval=100ms\n")
        client = daemon.client()
        client.send(b"queued")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to be queued")
        self.assertEqual(daemon.status()["health"], "warning")
        with self.assertRaises(TimeoutError):
            session.recv(timeout=0.5)
        self.assertEqual(session.skipped, 0, "a heartbeat was sent")
        session.send(SECRETS[2] + b", alice", b"data")
        session.expect(b"queued")
        client.expect(b"data")
        status = daemon.wait_state("up")
        self.assertEqual(status["upstream"]["received"]["messages"], 1)
        self.assertEqual(status["health"], "ok")
        harness.until(lambda: self.skips(session), "heartbeats to begin")

    @staticmethod
    def skips(session):
        try:
            session.recv(timeout=0.05)
        except TimeoutError:
            pass
        return session.skipped

    def test_the_gate_stands_on_every_connection(self):
        daemon, session = self.gated("", NO_HEARTBEAT)
        client = daemon.client()
        session.send(SECRETS[2])
        daemon.wait_state("up")
        session.close()
        session = self.upstream_.accept()
        session.expect(*SECRETS[:2])
        client.send(b"not before the answer")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to be queued")
        with self.assertRaises(TimeoutError):
            session.recv(timeout=0.2)
        session.send(SECRETS[2])
        session.expect(b"not before the answer")

    def test_the_answer_and_what_follows_may_come_in_one_packet(self):
        daemon, session = self.start(EXPECT)
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(b"", SECRETS[2], b"first", b"", b"second")
        client.expect(b"first", b"second")

    def test_the_answer_is_read_while_a_client_is_full(self):
        daemon, session = self.start(
            EXPECT + "GreetingTimeout=1s\n",
            NO_HEARTBEAT + "[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n",
        )
        session.send(SECRETS[2])
        daemon.wait_state("up")
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(*[bytes(100000)] * 8)
        daemon.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        daemon.call("Reconnect")
        again = self.upstream_.accept()
        again.expect(*SECRETS[:2])
        again.send(SECRETS[2])
        status = daemon.wait_status(
            lambda s: s["upstream"]["state"] == "up" and s["upstream"]["disconnects"] == 1, "the link"
        )
        self.assertTrue(status["upstream"]["paused"])
        self.assertEqual(status["upstream"]["lastCause"], "operator")
        again.send(b"after")
        client.expect(*[bytes(100000)])
        while client.recv() != b"after":
            pass

    def test_the_answer_may_come_byte_by_byte(self):
        daemon, session = self.gated()
        client = daemon.client()
        daemon.wait_clients(1)
        for byte in session.frame.wrap(SECRETS[2] + b"!") + session.frame.wrap(b"first"):
            session.send_raw(bytes([byte]))
        client.expect(b"first")
        daemon.wait_state("up")

    def test_a_heartbeat_is_not_the_answer(self):
        daemon, session = self.gated()
        session.send(b"", b"", b"")
        status = daemon.wait_status(
            lambda s: s["upstream"]["heartbeatsReceived"] == 3, "the heartbeats to be counted"
        )
        self.assertEqual(status["upstream"]["state"], "greeting")
        session.send(SECRETS[2])
        daemon.wait_state("up")

    @harness.in_time
    def test_silence_is_not_judged_before_the_answer(self):
        daemon, session = self.gated("", "[Heartbeat]\nTimeout=200ms\n")
        status = daemon.wait_status(lambda s: s["upstream"]["silentUsec"] > 700000, "some silence")
        self.assertEqual(status["upstream"]["state"], "greeting")
        session.send(SECRETS[2])
        session.heartbeat(0.05)
        daemon.wait_state("up")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)

    def test_a_wrong_answer_waits_for_the_longest_delay_and_tells_its_length(self):
        daemon, session = self.gated("", "[Health]\nCriticalAfter=0\n")
        client = daemon.client()
        client.send(b"queued")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to be queued")
        session.send(b"DENIED for kn0ck", b"and more")
        session.expect_end()
        status = daemon.wait_state("waiting")
        self.assertEqual(status["upstream"]["lastCause"], "greeting")
        self.assertEqual(
            status["upstream"]["lastError"],
            "another answer to the greeting than GreetingExpect=, of 16 bytes",
        )
        self.assertGreater(status["upstream"]["nextAttemptUsec"], 2 * 1000000)
        self.assertEqual(status["health"], "critical")
        self.assertEqual(status["toUpstream"]["queued"]["messages"], 1)
        self.assertEqual(status["toClients"]["accepted"]["messages"], 0)
        daemon.wait_log("greeting: another answer .* of 16 bytes")
        self.check_secrets(daemon)

    def test_a_shorter_answer_is_a_wrong_one(self):
        daemon, session = self.gated()
        session.send(SECRETS[2][:-1])
        session.expect_end()
        self.assertEqual(daemon.wait_state("waiting")["upstream"]["lastCause"], "greeting")

    def test_no_answer_in_time_waits_for_the_longest_delay_too(self):
        daemon, session = self.gated("GreetingTimeout=300ms\n")
        session.expect_end()
        status = daemon.wait_state("waiting")["upstream"]
        self.assertEqual(status["lastCause"], "greeting")
        self.assertIn("GreetingTimeout=", status["lastError"])
        self.assertGreater(status["nextAttemptUsec"], 2 * 1000000)

    def test_an_answer_that_came_while_we_stood_still_is_in_time(self):
        daemon, session = self.gated("GreetingTimeout=1s\n")
        daemon.freeze()
        session.send(SECRETS[2])
        time.sleep(1.3)
        daemon.thaw()
        daemon.wait_state("up")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 0)

    def test_a_peer_that_closes_instead_of_answering_is_told(self):
        daemon, session = self.gated()
        session.close()
        status = daemon.wait_status(
            lambda s: s["upstream"]["lastCause"] == "closed", "the end of the connection"
        )["upstream"]
        self.assertIn("before it answered the greeting", status["lastError"])

    def test_secrets_are_nowhere_to_be_read(self):
        daemon, session = self.gated()
        self.check_secrets(daemon)
        session.send(SECRETS[2] + b" kn0ck")
        daemon.wait_state("up")
        self.check_secrets(daemon)
        session.send_raw(b"\xff\xff\xff\xffkn0ck")
        daemon.wait_status(lambda s: s["upstream"]["lastCause"] == "framing", "the broken length")
        self.check_secrets(daemon)

    def test_a_stop_before_the_answer_leaves_the_queue_and_says_so(self):
        daemon, session = self.gated("", "[Service]\nStopTimeout=300ms\n")
        client = daemon.client()
        client.send(b"queued")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to be queued")
        self.assertEqual(daemon.stop(), 0)
        self.assertIsNone(session.recv())
        self.assertRegex(daemon.log, r"1 message \(10 bytes\) was not acknowledged by the upstream's kernel")

    def test_greetings_may_stand_in_files_and_credentials(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(subprocess.run, ["rm", "-r", directory], check=False)
        for name, content in (("file", b"from a file\0\n"), ("word", b"from a credential")):
            with open(os.path.join(directory, name), "wb") as file:
                file.write(content)
        upstream = self.upstream(heartbeat=None)
        self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nGreeting=@{directory}/file\n"
            "Greeting=@credential:word\nGreeting=\\x01\\n\nGreeting=\"\"\n" + NO_HEARTBEAT,
            env={"CREDENTIALS_DIRECTORY": directory},
        )
        session = upstream.accept()
        session.skip = set()
        first = session.recv()
        self.assertIn(first, (b"from a file\0\n", b"from a file\0"))
        session.expect(b"from a credential", b"\x01\n", b"")

    def test_a_reload_with_another_secret_greets_anew(self):
        daemon, session = self.start()
        with open(daemon.config_path, encoding="utf-8") as file:
            config = file.read()
        daemon.configure(config.replace("s3cr3t-word", "s3cr3t-word2"))
        daemon.hangup()
        self.assertEqual(session.expect_end(), "closed")
        session = self.upstream_.accept()
        session.expect(SECRETS[0] + b"2", SECRETS[1])


if __name__ == "__main__":
    harness.main()

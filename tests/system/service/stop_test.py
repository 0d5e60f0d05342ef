# SPDX-License-Identifier: MIT
"""SIGTERM: what is queued is flushed within StopTimeout=, what is left is told, exit 0."""
import os
import signal
import socket
import threading
import time

import harness
from manager import ManagedTest

QUICK = "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=100ms\n"
PATIENT = f"[Service]\nStopTimeout={120 * harness.SLOW:.0f}s\n"  # nobody waits for so long


class Stop(harness.SystemTest):
    def deaf(self, config=""):
        """A link whose upstream does not read, a client, and its messages that wait."""
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n{config}")
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(10000)) for i in range(200)]
        client.send(*messages)
        daemon.wait_status(
            lambda s: s["toUpstream"]["accepted"]["messages"] == 200, "all to be accepted"
        )
        return daemon, session, messages

    def test_what_is_queued_is_flushed_and_the_exit_is_0(self):
        daemon, session, messages = self.deaf(PATIENT)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("SIGTERM: stopping")
        session.expect(*messages)
        self.assertIsNone(session.recv(), "the connection was not closed quietly")
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertIn("stopped; everything was acknowledged by the upstream's kernel", daemon.log)

    def test_what_clients_have_sent_is_taken_while_the_link_is_busy(self):
        daemon, session, messages = self.deaf(PATIENT)
        clients = [daemon.client() for _ in range(8)]
        daemon.wait_clients(9)
        sent = [[harness.stamp(2 + c, i, bytes(60_000)) for i in range(20)] for c in range(8)]
        senders = [threading.Thread(target=c.send, args=m) for c, m in zip(clients, sent)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("SIGTERM: stopping")
        got = sorted(session.recv_n(len(messages) + 8 * 20))
        self.assertEqual(got, sorted(messages + [m for part in sent for m in part]))
        self.assertIsNone(session.recv())
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)

    def test_an_idle_link_ends_at_once(self):
        _, daemon, session = self.linked(PATIENT)
        session.send(b"data")
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)

    @harness.in_time
    def test_an_upstream_that_does_not_read_is_given_stop_timeout_and_no_more(self):
        daemon, _, _ = self.deaf("[Service]\nStopTimeout=700ms\n")
        start = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        took = time.monotonic() - start
        self.assertGreater(took, 0.6)
        self.assertLess(took, 3)
        self.assertRegex(
            daemon.log, r"stopped; \d+ messages \(\d+ bytes\) were not acknowledged by the upstream's kernel"
        )
        self.assertIn("begun and not sent: the stop gives them up", daemon.log)

    @harness.in_time
    def test_stop_timeout_0_waits_for_nothing(self):
        daemon, _, _ = self.deaf("[Service]\nStopTimeout=0\n")
        start = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - start, 2)
        self.assertRegex(daemon.log, r"stopped; \d+ messages .* were not acknowledged")

    def test_what_is_left_is_told_when_the_link_is_down(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n{PATIENT}")
        client = daemon.client()
        client.send(b"one", b"two")
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 2, "two messages")
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("stopped; 2 messages (14 bytes) were not acknowledged", daemon.log)

    def test_clients_get_what_was_received_and_then_the_end(self):
        _, daemon, session = self.linked(PATIENT)
        client = daemon.client()
        daemon.wait_clients(1)
        messages = [harness.stamp(1, i, bytes(5000)) for i in range(200)]
        session.send(*messages)
        daemon.wait_status(lambda s: s["upstream"]["received"]["messages"] == 200, "all of them")
        daemon.process.send_signal(signal.SIGTERM)
        client.expect(*messages)
        self.assertEqual(client.expect_end(), "closed")
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)

    def test_who_interrupts_a_stop_waits_for_nothing(self):
        daemon, session, _ = self.deaf(PATIENT)
        daemon.process.send_signal(signal.SIGINT)
        daemon.wait_log("SIGINT: stopping")
        daemon.process.send_signal(signal.SIGINT)
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertIn("SIGINT again", daemon.log)
        self.assertRegex(daemon.log, r"stopped; \d+ messages .* were not acknowledged")

    def test_an_interrupt_is_a_stop_too_and_asking_again_changes_nothing(self):
        daemon, session, messages = self.deaf(PATIENT)
        daemon.process.send_signal(signal.SIGINT)
        daemon.wait_log("SIGINT: stopping")
        daemon.process.send_signal(signal.SIGTERM)
        session.expect(*messages)
        self.assertEqual(session.expect_end(), "closed")
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_link_that_is_lost_while_stopping_is_not_dialled_again(self):
        daemon, session, _ = self.deaf(PATIENT)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("SIGTERM: stopping")
        session.reset()
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertRegex(daemon.log, r"stopped; \d+ messages .* were not acknowledged")

    def test_clients_that_never_cease_to_send_do_not_delay_the_end(self):
        _, daemon, session = self.linked(PATIENT)
        client = daemon.client()
        collector = session.collect()
        sender = threading.Thread(target=self.send_on, args=(client,), daemon=True)
        sender.start()
        collector.wait_count(1000)
        daemon.process.send_signal(signal.SIGTERM)
        collector.wait_end()
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertIn("stopped; everything was acknowledged by the upstream's kernel", daemon.log)
        numbers = [harness.unstamp(message)[1] for message in collector.messages]
        self.assertEqual(numbers, list(range(len(numbers))))
        sender.join(harness.DEADLINE)

    @staticmethod
    def send_on(client):
        number = 0
        try:
            while True:
                client.send(*(harness.stamp(1, number + i, bytes(1000)) for i in range(20)))
                number += 20
        except OSError:
            pass

    def test_the_sockets_are_gone_afterwards_and_the_state_is_told_meanwhile(self):
        daemon, session, messages = self.deaf(PATIENT)
        daemon.process.send_signal(signal.SIGTERM)
        status = daemon.wait_state("stopping")
        self.assertGreater(status["toUpstream"]["queued"]["messages"], 0)
        session.expect(*messages)
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertFalse(os.path.exists(daemon.data_path))
        self.assertFalse(os.path.exists(daemon.control_path))


class Unanswered(ManagedTest):
    """systemd does not say whether it is a restart, so that nothing is closed."""

    def stopping(self, config):
        """A client's messages wait for the upstream, and the end has been asked for."""
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n{config}{PATIENT}")
        session, client = upstream.accept(), daemon.client()
        messages = [harness.stamp(1, i, bytes(10000)) for i in range(200)]
        client.send(*messages)
        daemon.wait_status(
            lambda s: s["toUpstream"]["accepted"]["messages"] == 200, "all to be accepted"
        )
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("SIGTERM: stopping.* systemd does not say")
        return upstream, daemon, session, messages

    def test_it_ends_when_the_link_is_lost_and_the_next_process_goes_on(self):
        upstream, daemon, session, messages = self.stopping("")
        session.reset()
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertRegex(daemon.log, r"stopped; \d+ messages .* were not acknowledged")
        daemon.start()
        got = upstream.accept().collect()
        got.wait(lambda taken: messages[-1] in taken, "the last message")
        self.assertEqual(got.messages, messages[-len(got.messages):])

    def test_it_ends_when_the_greeting_is_answered_and_all_has_gone(self):
        _, daemon, session, messages = self.stopping(
            "Greeting=hello\nGreetingExpect=welcome\nStableTime=infinity\n")
        session.send(b"welcome")
        session.expect(b"hello", *messages)
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertIn("stopped; everything was acknowledged by the upstream's kernel", daemon.log)


if __name__ == "__main__":
    harness.main()

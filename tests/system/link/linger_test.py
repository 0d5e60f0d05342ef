# SPDX-License-Identifier: MIT
"""A connection that ftcpd gives up, and what the peer's program had not read of it."""
import select
import signal
import subprocess
import sys
import threading
import time

import harness
from cable import Cable
from local import check_books, dropped
from losses import QUICK
from manager import ManagedTest

# Silence ends a connection, but not soon, and no other follows: see silence().
PATIENT = (
    "[Upstream]\nReconnectDelay=1h\nReconnectDelayMax=1h\n[Heartbeat]\nInterval=1h\nTimeout=1h\n"
)
KEPT = QUICK + "[Heartbeat]\nInterval=1h\nTimeout=0\n"
MESSAGES = [harness.stamp(1, i) for i in range(20)]


def stays_until_full(daemon):
    """Until the peer's window is closed, and nothing more is sent."""
    counts = [None]

    def rests():
        counts.append(daemon.status()["upstream"]["sent"]["bytes"])
        return counts[-1] and counts[-1] == counts[-2]

    harness.until(rests, "the window to be closed", interval=0.3)


class LingerTest(harness.SystemTest):
    def given(self, config=PATIENT, messages=MESSAGES):
        """A link whose peer spoke, and then was given messages that it has not read."""
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{config}")
        session = upstream.accept()
        session.send(b"")
        daemon.wait_state("up")
        daemon.wait_status(lambda s: s["upstream"]["heartbeatsReceived"] == 1, "the peer's byte")
        self.client = daemon.client()
        self.client.send(*messages)
        daemon.wait_status(
            lambda s: s["toUpstream"]["delivered"]["messages"] == len(messages), "them to be taken"
        )
        return upstream, daemon, session

    @staticmethod
    def silence(daemon, number=1):
        """Has silence end the connection, and this one only."""
        daemon.reconfigure("[Heartbeat]\nTimeout=1ms\n")
        daemon.wait_status(
            lambda s: s["upstream"]["disconnects"] == number, "the silence to be noticed"
        )
        daemon.reconfigure("[Heartbeat]\nTimeout=1h\n")

    def lingering(self, config=PATIENT):
        """The same, when silence has ended the connection; and the next connection."""
        upstream, daemon, session = self.given(config)
        self.silence(daemon)
        self.assertIn("the old connection is shut down", daemon.log)
        daemon.call("Reconnect")
        following = upstream.accept()
        following.send(b"")
        daemon.wait_status(lambda s: s["upstream"]["heartbeatsReceived"] == 2, "its first byte")
        return upstream, daemon, session, following

    def reads_all(self, session, messages=MESSAGES):
        """Whoever writes, too, reads all that its kernel holds, and the end."""
        for _ in range(20):  # after a reset a write fails
            session.send(b"still here")
            time.sleep(0.005)
        session.expect(*messages)
        self.assertEqual(session.expect_end(), "closed")

    @staticmethod
    def wait_reset(session):
        """Until a reset has arrived, whatever can be read before."""
        poll = select.poll()
        poll.register(session.sock, 0)
        harness.until(lambda: any(e & select.POLLERR for _, e in poll.poll(0)), "the reset")


class Linger(LingerTest):
    def test_a_peer_that_was_silent_reads_what_its_kernel_holds(self):
        _, daemon, session, following = self.lingering()
        self.reads_all(session)
        session.close()
        self.client.send(b"new")
        following.expect(b"new")
        status = check_books(daemon.status())
        self.assertEqual(status["upstream"]["lastCause"], "silent")

    def test_nothing_comes_twice_that_a_closed_window_kept_back(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n{PATIENT}[Delivery]\nResend=unsent\n"
        )
        session = upstream.accept()
        session.send(b"")
        daemon.wait_status(lambda s: s["upstream"]["heartbeatsReceived"] == 1, "the peer's byte")
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(20000)) for i in range(1000)]
        threading.Thread(target=client.send, args=messages, daemon=True).start()
        stays_until_full(daemon)
        self.silence(daemon)
        self.assertIn("the old connection is shut down", daemon.log)
        daemon.call("Reconnect")
        old, new = session.collect(), upstream.accept().collect()
        self.assertEqual(old.wait_end(), "closed")
        last = harness.unstamp(messages[-1])
        new.wait(lambda got: got and harness.unstamp(got[-1]) == last, "the last message")
        got = old.messages + new.messages
        self.assertEqual(len(set(got)), len(got))  # none came twice
        self.assertEqual(set(got), set(messages))  # though some are told as perhaps lost
        self.assertGreater(dropped(daemon.status(), "toUpstream", "not_resent"), 0)

    def test_an_idle_connection_is_reset(self):
        _, daemon, session = self.given()
        session.send(b"")
        daemon.wait_status(lambda s: s["upstream"]["heartbeatsReceived"] == 2, "a byte behind")
        self.silence(daemon)
        self.wait_reset(session)
        self.assertNotIn("shut down", daemon.log)

    def test_a_connection_on_which_nothing_was_heard_is_reset(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{PATIENT}")
        session = upstream.accept()
        daemon.client().send(b"into the blue")
        daemon.wait_status(lambda s: s["upstream"]["sent"]["messages"] == 1, "it to be sent")
        daemon.reconfigure("[Heartbeat]\nTimeout=1ms\n")
        self.wait_reset(session)
        self.assertNotIn("shut down", daemon.log)

    def test_a_peer_that_is_silent_by_nature_reads_on_after_a_reconnect_and_a_reload(self):
        for order in ("reconnect", "reload"):
            with self.subTest(order):
                upstream = self.upstream(heartbeat=None)
                daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{KEPT}")
                session = upstream.accept()
                daemon.client().send(*MESSAGES)
                daemon.wait_status(
                    lambda s: s["toUpstream"]["delivered"]["messages"] == len(MESSAGES), "them"
                )
                if order == "reload":
                    daemon.reconfigure("[Upstream]\nConnectTimeout=9s\nGreeting=hello\n")
                else:
                    daemon.call("Reconnect")
                upstream.accept()
                daemon.wait_log("the old connection is shut down")
                self.reads_all(session)

    def test_one_lingers_and_a_further_one_resets_it(self):
        _, daemon, session, following = self.lingering()
        self.client.send(b"unread")
        daemon.wait_status(lambda s: not s["toUpstream"]["queued"]["messages"], "it to be taken")
        self.silence(daemon, 2)
        self.wait_reset(session)
        self.reads_all(following, [b"unread"])

    def test_a_peer_with_one_place_that_refuses_gets_it_free_and_is_dialled_soon(self):
        upstream, daemon, session = self.given()
        self.silence(daemon)
        upstream.refuse()
        daemon.call("Reconnect")
        self.wait_reset(session)
        upstream.listen()
        upstream.accept().send(b"")
        daemon.wait_state("up")

    def test_a_peer_with_one_place_that_hangs_up_gets_it_free_and_is_dialled_soon(self):
        upstream, daemon, session = self.given()
        self.silence(daemon)
        daemon.call("Reconnect")
        upstream.accept().close()
        self.wait_reset(session)
        upstream.accept().send(b"")
        daemon.wait_state("up")

    def test_a_peer_with_one_place_that_refuses_the_greeting_is_dialled_soon(self):
        upstream, daemon, session = self.given()
        self.silence(daemon)
        daemon.reconfigure("[Upstream]\nGreeting=hello\nGreetingExpect=OK\n")
        upstream.accept().send(b"in use")
        self.wait_reset(session)
        upstream.accept().send(b"OK")
        daemon.wait_state("up")

    def test_a_hold_resets_it(self):
        _, daemon, session, _ = self.lingering()
        daemon.call("Hold")
        self.wait_reset(session)
        daemon.wait_state("held")

    def test_a_held_connection_does_not_linger(self):
        _, daemon, session = self.given(KEPT)
        daemon.call("Hold")
        daemon.wait_state("held")
        self.assertNotIn("shut down", daemon.log)
        session.expect(*MESSAGES)

    def test_a_stop_waits_for_it(self):
        _, daemon, session, following = self.lingering()
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(following.expect_end(), "closed")
        following.close()
        daemon.wait_log("stopping")
        self.reads_all(session)
        self.assertIsNone(daemon.process.poll())
        session.close()
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_stop_waits_no_longer_than_stop_timeout(self):
        _, daemon, session, following = self.lingering(PATIENT + "[Service]\nStopTimeout=400ms\n")
        daemon.process.send_signal(signal.SIGTERM)
        following.close()
        self.assertEqual(daemon.wait_exit(), 0)
        session.expect(*MESSAGES)

    def test_nobody_waits_for_longer_than_10_seconds(self):
        _, _, session, _ = self.lingering()
        before = time.monotonic()
        self.wait_reset(session)
        self.assertGreater(time.monotonic() - before, 8)


class Managed(LingerTest, ManagedTest):
    def goes_on(self, renew):
        _, daemon, session, _ = self.lingering()
        self.assertIn("upstream-1", daemon.kept())
        renew(daemon)
        self.assertIn("upstream-1", daemon.kept())
        self.reads_all(session)
        session.close()
        harness.until(lambda: "upstream-1" not in daemon.kept(), "it to be forgotten")
        daemon.wait_state("up")
        self.assertEqual(daemon.status()["upstream"]["disconnects"], 1)

    def test_it_lingers_on_after_a_crash(self):
        self.goes_on(lambda daemon: daemon.crash())

    def test_it_lingers_on_after_a_restart(self):
        def restart(daemon):
            daemon.stop()
            daemon.start()

        self.goes_on(restart)

    def test_one_whose_descriptor_is_lost_is_over(self):
        _, daemon, _, _ = self.lingering()
        daemon.kill()
        daemon.forget("upstream-1")
        daemon.start()
        daemon.wait_state("up")
        self.assertEqual([n for n in daemon.kept() if n.startswith("up")], ["upstream-2"])


# Takes connections, each in a thread; says one heartbeat on each, so that it was heard. At the end
# of its input it prints how many messages came, and how many of them twice.
PEER = """
import socket, struct, sys, threading
listener = socket.create_server((sys.argv[1], 0), backlog=64)
print(listener.getsockname()[1], flush=True)
streams = []
def read(sock, stream):
    try:
        sock.sendall(bytes(4))
        while data := sock.recv(1 << 16):
            stream.append(data)
    except OSError:
        pass
    sock.close()
def accept():
    while True:
        streams.append([])
        threading.Thread(target=read, args=(listener.accept()[0], streams[-1]), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
came, numbers = 0, set()
def count(stream):
    global came
    data, at = b"".join(stream), 0
    while at + 4 <= len(data):
        size = 4 + struct.unpack_from(">I", data, at)[0]
        if size > 4 and at + size <= len(data):
            numbers.add(struct.unpack_from(">Q", data, at + 4)[0])
            came += 1
        at += size
for line in sys.stdin:  # a number of streams that are over
    for i in range(len(streams) - int(line) - 1):
        count(streams[i])
        streams[i].clear()
for stream in streams:
    count(stream)
print(came, came - len(numbers))
"""
# Sends numbered messages until its end.
FEEDER = """
import socket, struct, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
number, pad = 0, bytes(192)
while True:
    sock.sendall(b"".join(struct.pack(">IQ", 200, n) + pad for n in range(number, number + 500)))
    number += 500
"""


class Verdicts(harness.SystemTest):
    """ftcpd gives up living connections under load, over a slow cable, where a kernel goes on
    transmitting by itself, even if nothing arrives any more. With Resend=unsent no message may come
    twice, however long it takes from the reading of the books to the end."""

    def load(self, cable, slow, congestion, settings, verdict, count):
        with cable.near:
            with open("/proc/sys/net/ipv4/tcp_congestion_control", "w", encoding="ascii") as file:
                file.write(congestion)
        with cable.far:
            peer = self.spawn([sys.executable, "-c", PEER, cable.far.address], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        daemon = self.daemon(
            f"[Upstream]\nAddress={cable.far.address}:{peer.stdout.readline()}"
            f"ReconnectDelay=5ms\nReconnectDelayMax=5ms\n"
            f"StableTime=0\n[Delivery]\nResend=unsent\n{settings}",
            within=cable.near,
            env={"LD_PRELOAD": slow, "ASAN_OPTIONS": "verify_asan_link_order=0"},
        )
        feeder = self.spawn([sys.executable, "-c", FEEDER, daemon.data_path],
                            stderr=subprocess.DEVNULL)
        flows = daemon.wait_status(lambda s: s["upstream"]["sent"]["messages"] > 1000, "a flow")
        count += flows["upstream"]["disconnects"]
        while daemon.status()["upstream"]["disconnects"] < count:
            verdict(daemon)
            print(4, file=peer.stdin, flush=True)
        harness.end(feeder)
        done = check_books(daemon.status())["upstream"]["disconnects"]
        daemon.stop()
        out, _ = peer.communicate(timeout=harness.DEADLINE)
        came, twice = map(int, out.split())
        print(f"# {congestion}: {done} verdicts, {came} messages, {twice} came twice")
        self.assertGreater(came, 0)
        self.assertEqual(twice, 0)

    def verdicts(self, settings, verdict):
        cable, slow = Cable(), self.preload("slow_books.c")
        self.addCleanup(cable.close)
        cable.near.run(*"tc qdisc add dev cable root tbf rate 100mbit burst 32k latency 50ms".split())
        for congestion in ("bbr", "reno"):
            with self.subTest(congestion):
                count = harness.often(3, 700, "FTCPD_TEST_VERDICTS")
                self.load(cable, slow, congestion, settings + "[Service]\nStopTimeout=0\n", verdict, count)

    def test_silence_doubles_nothing(self):
        self.verdicts("[Heartbeat]\nTimeout=50ms\n", lambda _: time.sleep(0.05))

    def test_a_reset_doubles_nothing(self):
        def hold(daemon):
            time.sleep(0.05)
            daemon.call("Hold")
            daemon.call("Release")
            daemon.wait_state("up")

        self.verdicts("[Heartbeat]\nTimeout=0\n", hold)


if __name__ == "__main__":
    harness.main()

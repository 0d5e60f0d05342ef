# SPDX-License-Identifier: MIT
"""No user takes the service from the others: who comes again and again, or many times."""
import select
import sys
import threading
import time

import harness
from harness import SLOW
from local import check_books, cpu_seconds, queue_of

KIB = b"k" * 1024

# As another user: so many connections, of which it tells after each line how many were ended.
HOLD = """
import select, socket, sys
held = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    held.append(one)
print("held", flush=True)
for _ in sys.stdin:
    print(sum(bool(select.select([one], [], [], 0)[0]) for one in held), flush=True)
"""


class Hung(harness.SystemTest):
    """Clients that connect, never read, and come again."""

    def feed(self, session):
        """Sends on until the test is over."""
        going = threading.Event()

        def send():
            while not going.is_set():
                try:
                    session.send(*[KIB] * 50)
                    time.sleep(0.005)
                except OSError:
                    return

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(going.set)

    def lasts(self, daemon):
        """How long a new client that never reads is there."""
        begin = time.monotonic()
        with daemon.client() as hung:
            poll = select.poll()
            poll.register(hung.sock, 0)  # POLLHUP always counts
            self.assertTrue(poll.poll(60_000), "it is disconnected at last")
            return time.monotonic() - begin

    def begin(self, stable):
        """The good client is no longer young when the feed begins: it shares no credit."""
        _, daemon, session = self.linked(
            f"[Upstream]\nStableTime={stable}\n[Delivery]\nClientQueueSize=512K\nSlowClientGrace=2s\n")
        self.good = daemon.client()
        got = self.good.collect()
        daemon.wait_clients(1)
        time.sleep(stable)
        self.feed(session)
        return daemon, got

    @harness.in_time
    def test_whoever_comes_again_shares_what_is_left_of_one_grace(self):
        daemon, got = self.begin(1)
        first = self.lasts(daemon)
        self.assertGreater(first, 1.9)
        again = [self.lasts(daemon) for _ in range(6)]
        self.assertLess(sum(again), 2 * SLOW, "each had a grace of its own")
        daemon.wait_log("too slow: .*SlowClientGrace= is used up, by ")
        before = len(got.messages)
        got.wait_count(before + 1000)  # who reads is still there
        check_books(daemon.status())

    @harness.in_time
    def test_the_program_owes_it_where_no_client_is_young(self):
        daemon, _ = self.begin(0)
        self.lasts(daemon)
        self.assertLess(self.lasts(daemon), 1 * SLOW)
        daemon.wait_log("used up, by clients of its program before it")


class Places(harness.SystemTest):
    """MaxClients= and users."""

    def setUp(self):
        super().setUp()
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be two users")

    def hold(self, daemon, count, user=65534):
        process = self.spawn([sys.executable, "-c", HOLD, daemon.data_path, str(count)],
                             stdin=-1, stdout=-1, user=user, cwd="/")
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"held\n")
        return process

    def ended(self, process):
        process.stdin.write(b"\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    def crowded(self, places):
        _, daemon, session = self.linked(f"[Local]\nSocketMode=0666\nMaxClients={places}\n")
        harness.os.chmod(daemon.directory, 0o755)
        crowd = self.hold(daemon, places)
        daemon.wait_clients(places)
        return daemon, session, crowd

    def test_a_user_with_every_place_makes_room_for_others_up_to_a_half(self):
        daemon, session, crowd = self.crowded(8)
        mine = [daemon.client() for _ in range(4)]
        harness.until(lambda: self.ended(crowd) == 4, "room for four")
        session.send(b"for all")
        for client in mine:
            client.expect(b"for all")
        with daemon.client() as late:
            late.expect_end()
        status = check_books(daemon.status())
        self.assertEqual((status["clients"], status["clientsCrowded"], status["clientsRefused"]),
                         (8, 4, 1))
        daemon.wait_log("client 8 .*uid 65534.* is disconnected: crowded: its user has 8 of the 8 "
                        "places")
        self.assertIn("4 made room for another user's", daemon.ctl("status")[1])
        self.assertEqual(self.ended(self.hold(daemon, 1)), 1, "the crowd takes no place back")

    def test_of_few_places_none_is_taken_away(self):
        daemon, _, crowd = self.crowded(3)
        with daemon.client() as late:
            late.expect_end()
        self.assertEqual((self.ended(crowd), daemon.status()["clientsCrowded"]), (0, 0))


# As another user: sends what stdin brings in lines of hexadecimal digits, and tells what is left.
SEND = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
one.setblocking(False)
left = b""
print("in", flush=True)
for line in sys.stdin:
    left += bytes.fromhex(line)
    try:
        while left:
            left = left[one.send(left):]
    except BlockingIOError:
        pass
    print(len(left), flush=True)
"""


class Queue(harness.SystemTest):
    """UpstreamQueueSize= and users."""

    def setUp(self):
        super().setUp()
        if harness.os.geteuid() != 0:
            self.skipTest("it needs root, to be two users")

    def other(self, daemon):
        process = self.spawn([sys.executable, "-c", SEND, daemon.data_path],
                             stdin=-1, stdout=-1, user=65534, cwd="/")
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"in\n")
        return process

    def send(self, other, data):
        other.stdin.write(data.hex().encode() + b"\n")
        other.stdin.flush()
        return int(other.stdout.readline())

    def held(self):
        upstream, daemon, _ = self.linked(
            "[Local]\nSocketMode=0666\n[Frame]\nMaxMessageSize=64K\n"
            "[Delivery]\nUpstreamQueueSize=1M\nHoldSize=1M\n")
        harness.os.chmod(daemon.directory, 0o755)
        daemon.ctl("hold")
        return upstream, daemon

    def queued(self, daemon):
        return queue_of(daemon, "toUpstream")["bytes"]

    @harness.in_time
    def test_no_user_alone_fills_the_last_quarter_while_others_are_there(self):
        upstream, daemon = self.held()
        others = [self.other(daemon) for _ in range(3)]
        mine = daemon.client()
        daemon.wait_clients(4)
        flood = (b"\0\0\x04\0" + KIB) * 700
        for other in others:
            self.send(other, flood)
        harness.until(lambda: self.queued(daemon) > (700 << 10), "three quarters")
        self.assertLess(self.queued(daemon), (850 << 10), "one user has more than three quarters")
        before = self.queued(daemon)
        mine.send(*[KIB] * 100)
        harness.until(lambda: self.queued(daemon) > before + (100 << 10), "the others get in")
        daemon.ctl("release")
        got = upstream.accept().collect()
        for other in others:
            harness.until(lambda o=other: self.send(o, b"") == 0, "it is read on")
        got.wait_count(3 * 700 + 100)
        check_books(daemon.status())

    @harness.in_time
    def test_a_user_alone_may_have_all_of_it(self):
        _, daemon = self.held()
        others = [self.other(daemon) for _ in range(10)]
        for other in others:
            self.send(other, (b"\0\0\x04\0" + KIB) * 150)
        harness.until(lambda: self.queued(daemon) > (950 << 10), "all of it")


# Connects and ends, over and over, for so many seconds.
CHURN = """
import socket, sys, time
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    held = []
    for _ in range(100):
        one = socket.socket(socket.AF_UNIX)
        one.connect(sys.argv[1])
        held.append(one)
    if sys.argv[3] == "wait":
        for one in held:
            one.send(bytes((0, 0, 0, 1, 120)))
    for one in held:
        one.close()
"""


class Door(harness.SystemTest):
    """Who comes and goes again without end."""

    def churn(self, daemon, how):
        before = cpu_seconds(daemon.pid)
        process = self.spawn([sys.executable, "-c", CHURN, daemon.data_path, "2", how])
        begin = time.monotonic()
        self.assertEqual(process.wait(60), 0)
        return (cpu_seconds(daemon.pid) - before) / (time.monotonic() - begin)

    @harness.in_time
    def test_the_door_takes_a_part_of_the_time(self):
        _, daemon, session = self.linked("[Delivery]\nSlowClient=wait\n")
        good = daemon.client()
        self.assertLess(self.churn(daemon, "go"), 0.3)
        session.send(b"for all")
        good.expect(b"for all")
        events = daemon.call("RecentEvents")["events"]
        self.assertLess(len(events), 60, "they wash nothing out")
        harness.until(lambda: daemon.status()["clients"] == 1, "all are gone", 60)
        self.assertGreater(daemon.status()["clientsAccepted"], 100)

    def test_who_is_gone_before_he_is_let_in_costs_no_place_and_no_name(self):
        _, daemon, session = self.linked("")
        got = session.collect()
        daemon.freeze()
        for _ in range(3):
            daemon.client().close()
        half = daemon.client()
        half.shut_write()
        with daemon.client() as quick:
            quick.send(b"sent, and gone")
        daemon.thaw()
        got.wait_count(1)
        harness.until(lambda: daemon.status()["clients"] == 1, "one is there")
        session.send(b"for all")
        half.expect(b"for all")
        texts = [event["text"] for event in daemon.call("RecentEvents")["events"]]
        self.assertEqual(texts.count("a client came and went, and sent nothing"), 3)
        self.assertEqual(daemon.status()["clientsAccepted"], 5)

    @harness.in_time
    def test_who_sends_and_goes_costs_a_part_too_and_nothing_is_lost(self):
        _, daemon, session = self.linked("[Delivery]\nSlowClient=wait\n")
        got = session.collect()
        self.assertLess(self.churn(daemon, "wait"), 0.3)
        harness.until(lambda: daemon.status()["clients"] == 0, "all are gone", 60)
        count = daemon.status()["clientsAccepted"]
        got.wait_count(count)


if __name__ == "__main__":
    harness.main()

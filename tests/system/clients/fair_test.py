# SPDX-License-Identifier: MIT
"""No user takes the service from the others: who comes again and again, or many times."""
import sys
import threading
import time

import harness
from harness import SLOW
from local import check_books

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
        hung = daemon.client()
        begin = time.monotonic()
        daemon.wait_clients(2)
        daemon.wait_clients(1)
        hung.close()
        return time.monotonic() - begin

    def begin(self, more=""):
        _, daemon, session = self.linked(
            f"{more}[Delivery]\nClientQueueSize=64K\nSlowClientGrace=2s\n")
        self.good = daemon.client()
        got = self.good.collect()
        daemon.wait_clients(1)
        self.feed(session)
        return daemon, got

    @harness.in_time
    def test_whoever_comes_again_shares_what_is_left_of_one_grace(self):
        daemon, got = self.begin()
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
        daemon, _ = self.begin("[Upstream]\nStableTime=0\n")
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
        _, daemon, session = self.linked(f"[Local]\nMode=0666\nMaxClients={places}\n")
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


if __name__ == "__main__":
    harness.main()

# SPDX-License-Identifier: MIT
"""The next process goes on where the last one stood: connection, clients, queues, books."""
import contextlib
import errno
import fcntl
import os
import random
import resource
import socket
import sys
import termios
import threading
import time

import harness
from harness import stamp, unstamp
from local import NOBODY_CHOSE, check_books, dropped
from manager import ManagedTest
from storm import Storm, body

SO_PEEK_OFF = 42  # of Linux
CONFIG = "[Delivery]\nSlowClient=wait\n"


class Crash(Storm, ManagedTest):
    def test_nobody_notices_a_crash_of_an_idle_daemon(self):
        upstream, daemon, session = self.linked(CONFIG)
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.crash()
        session.send(b"down")
        client.expect(b"down")
        client.send(b"up")
        session.expect(b"up")
        status = daemon.status()
        self.assertEqual(status["upstream"]["connects"], 1)
        self.assertEqual(status["upstream"]["disconnects"], 0)
        self.assertEqual(status["clientsAccepted"], 1)
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], 1)
        self.assertEqual(daemon.kept(),
                         ["bag-0", "bag-1", "bag-2", "bag-3", "config", "state", "upstream-1"])

    def test_crashes_under_full_load_lose_double_tear_and_reorder_nothing(self):
        rng = random.Random(number := harness.seed())
        print("seed", number)
        times = harness.often(30, 500, "FTCPD_TEST_CRASHES")
        self.storm(rng, times, lambda daemon: daemon.crash())

    def test_what_was_taken_from_clients_that_come_and_go_arrives_once_whatever_crashes(self):
        rng = random.Random(number := harness.seed())
        print("seed", number)
        _, daemon, session = self.linked(CONFIG)
        self.lock, self.sent, self.taken = threading.Lock(), [], {}
        done = threading.Event()
        ups = session.collect()
        threads = [threading.Thread(target=self.visit, args=(daemon, done)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(harness.often(20, 500, "FTCPD_TEST_CRASHES")):
                done.wait(rng.random() * 0.2)
                daemon.crash()
        finally:
            done.set()
            for thread in threads:
                thread.join(harness.DEADLINE)
        daemon.wait_clients(0)
        status = daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 0,
                                    "everything to be delivered")
        ups.wait_count(status["toUpstream"]["delivered"]["messages"])
        seen = {}
        for message in ups.messages:
            sender, number = unstamp(message)
            seen.setdefault(sender, []).append(number)
        for sender, numbers in seen.items():
            self.assertEqual(numbers, list(range(len(numbers))))
        for sender, count in self.taken.items():
            self.assertEqual(len(seen.get(sender, ())), count, f"client {sender}")
        print("visits", len(self.sent), "of them surely taken", len(self.taken))
        self.assertEqual(status["clients"], 0)

    def visit(self, daemon, done):
        while not done.is_set():
            with self.lock:
                number = len(self.sent)
                self.sent.append(0)
            with harness.unix_connect(daemon.data_path) as client:
                try:
                    client.send(*[stamp(number, i, body(i)) for i in range(5)])
                    while self.unread(client.sock):
                        time.sleep(0.001)
                    if client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                        self.taken[number] = 5
                except OSError:
                    pass

    @staticmethod
    def unread(sock):
        """What the other side has not read yet."""
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def test_what_is_held_and_dealt_out_stays_so(self):
        _, daemon, session = self.linked("[Delivery]\nToClients=balance\nHoldSize=1M\n")
        for i in range(10):
            session.send(stamp(1, i))
        daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"] == 10, "10 held messages")
        daemon.crash()
        self.assertEqual(daemon.status()["toClients"]["queued"]["messages"], 10)
        clients = [daemon.client(), daemon.client()]
        daemon.wait_clients(2)
        daemon.crash()
        first = clients[0].collect()
        second = clients[1].collect()
        daemon.wait_status(lambda s: s["toClients"]["delivered"]["messages"] == 10, "all to be given")
        for i in range(10, 30):
            session.send(stamp(1, i))
        daemon.wait_status(lambda s: s["toClients"]["delivered"]["messages"] == 30, "all to be given")
        harness.until(lambda: len(first.messages) + len(second.messages) == 30, "30 messages")
        got = sorted(unstamp(m)[1] for m in first.messages + second.messages)
        self.assertEqual(got, list(range(30)))

    def test_a_warning_of_what_was_dropped_a_moment_ago_stays(self):
        _, daemon, session = self.linked("[Delivery]\nHoldSize=1K\n")
        for i in range(3):
            session.send(stamp(1, i, bytes(500)))
        daemon.wait_status(lambda s: dropped(s, "toClients", "hold_full") == 2, "2 to be dropped")
        client = daemon.client()
        self.assertEqual(unstamp(client.recv())[1], 2)
        before = daemon.call("Health")
        self.assertEqual([reason["text"] for reason in before["reasons"]], [NOBODY_CHOSE])
        daemon.crash()
        self.assertEqual(daemon.call("Health"), before)

    def test_what_was_dropped_of_a_client_is_told_of_it_still(self):
        _, daemon, session = self.linked("[Delivery]\nSlowClient=drop\nClientQueueSize=1K\n")
        client = daemon.client()
        daemon.wait_clients(1)
        for i in range(5):
            session.send(stamp(1, i, bytes(400_000)))
        daemon.wait_status(lambda s: dropped(s, "toClients", "queue_full") == 4, "4 to be dropped")
        before = daemon.call("ListClients")["clients"][0]["dropped"]
        self.assertEqual(before["messages"], 4)
        daemon.crash()
        self.assertEqual(daemon.call("ListClients")["clients"][0]["dropped"], before)
        client.close()
        daemon.wait_clients(0)
        new = daemon.client()
        daemon.wait_clients(1)
        self.assertEqual(daemon.call("ListClients")["clients"][0]["dropped"]["messages"], 0)
        new.close()

    def test_who_only_sends_or_only_receives_goes_on_doing_so(self):
        _, daemon, session = self.linked(CONFIG)
        sends, receives = daemon.client(), daemon.client()
        sends.shut_read()
        receives.shut_write()
        daemon.wait_status(
            lambda _: [c["sendOnly"] for c in daemon.call("ListClients")["clients"]] == [True, False],
            "the sender to be known as one")
        daemon.crash()
        daemon.call("Reload")  # looks at the limits of everybody
        session.send(b"down")
        receives.expect(b"down")
        sends.send(b"up")
        session.expect(b"up")
        clients = daemon.call("ListClients")["clients"]
        self.assertEqual([c["sendOnly"] for c in clients], [True, False])
        receives.close()
        daemon.wait_clients(1)

    def test_a_partial_message_of_each_side_survives(self):
        _, daemon, session = self.linked(CONFIG, heartbeat=None)
        client = daemon.client()
        daemon.wait_clients(1)
        up, down = stamp(1, 1, bytes(200000)), stamp(2, 2, bytes(300000))
        framed_up, framed_down = client.frame.wrap(up), session.frame.wrap(down)
        client.send_raw(framed_up[:100001])
        session.send_raw(framed_down[:100003])
        daemon.wait_status(lambda s: (s["upstream"].get("partial") or {}).get("receivedBytes") == 100003,
                           "half a message")
        daemon.wait_status(lambda _: (daemon.call("ListClients")["clients"][0].get("partial") or {})
                           .get("receivedBytes") == 100001, "half a message")
        daemon.crash()
        client.send_raw(framed_up[100001:])
        session.send_raw(framed_down[100003:])
        session.expect(up)
        client.expect(down)

    def amid_a_message(self):
        _, daemon, session = self.linked(CONFIG)
        client = daemon.client()
        client.send_raw(b"\0\0\0\x10half of ")
        daemon.wait_status(
            lambda _: daemon.call("ListClients")["clients"][0].get("partial"), "half a message")
        return daemon, session, client

    def test_who_may_no_longer_send_has_nothing_half_sent_left(self):
        daemon, session, client = self.amid_a_message()
        daemon.kill()
        with open(daemon.config_path, "a", encoding="utf-8") as file:
            file.write("[Local]\nSenders=nobody\n")
        daemon.start()
        client.send_raw(b"a message")
        session.send(b"down")
        client.expect(b"down")
        status = daemon.wait_status(lambda s: s["refused"]["bytes"] == 21, "all to be refused")
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], 0)
        self.assertNotIn("partial", daemon.call("ListClients")["clients"][0])

    def test_who_lost_a_part_of_what_it_sent_may_not_go_on_in_the_middle(self):
        daemon, session, client = self.amid_a_message()
        daemon.reconfigure("[Local]\nSenders=nobody\n")
        daemon.reconfigure("[Local]\nSenders=\n")
        for _ in range(2):
            client.send_raw(b"a mess\0\0\0\4age ")
            daemon.crash()
        other = daemon.client()
        other.send(b"whole")
        session.expect(b"whole")
        daemon.wait_status(lambda s: s["refused"]["bytes"] == 40, "all to be refused")
        self.assertEqual(daemon.status()["toUpstream"]["accepted"]["messages"], 1)
        self.assertEqual([c["receiveOnly"] for c in daemon.call("ListClients")["clients"]],
                         [True, False])

    def test_what_waits_while_the_link_is_down_waits_on(self):
        upstream, daemon, session = self.linked("ReconnectDelay=50ms\nReconnectDelayMax=50ms\n" + CONFIG)
        client = daemon.client()
        daemon.wait_clients(1)
        upstream.refuse()
        session.reset()
        daemon.wait_state({"waiting", "connecting", "resolving"})
        client.send(*[stamp(1, i) for i in range(100)])
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 100, "100 messages")
        daemon.crash()
        self.assertEqual(daemon.status()["toUpstream"]["queued"]["messages"], 100)
        upstream.listen()
        session = upstream.accept()
        session.expect(*[stamp(1, i) for i in range(100)])
        daemon.wait_state("up")
        daemon.crash()
        client.send(b"on")
        session.expect(b"on")

    def test_a_peer_that_went_while_nobody_was_there_is_noticed_and_nothing_is_lost(self):
        upstream, daemon, session = self.linked("ReconnectDelay=50ms\n" + CONFIG)
        client = daemon.client()
        gone = daemon.client()
        daemon.wait_clients(2)
        daemon.kill()
        session.send(b"the last word")
        client.send(b"meanwhile")
        gone.send(b"a legacy")
        gone.close()
        session.reset()
        daemon.start()
        client.expect(b"the last word")
        session = upstream.accept()
        self.assertEqual(sorted(session.recv_n(2)), [b"a legacy", b"meanwhile"])
        daemon.wait_clients(1)

    def test_ten_thousand_clients_survive_a_crash(self):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        count = min(10000, (limits[1] - 1000) // 2)
        _, daemon, session = self.linked(f"[Local]\nMaxClients={count}\n" + CONFIG)
        clients = [daemon.client() for _ in range(count)]
        daemon.wait_clients(count)
        for client in clients[: count // 3]:
            client.close()
        clients = clients[count // 3 :]
        daemon.wait_clients(len(clients))
        # The kernel looks past every message before the one that is read.
        self.assertLess(self.messages_in_bags(daemon), 2000)
        begun = time.monotonic()
        daemon.crash()
        print("clients", count, "gone", count - len(clients), "seconds", time.monotonic() - begun)
        self.assertEqual(daemon.status()["clients"], len(clients))
        session.send(b"to all")
        for client in clients:
            client.expect(b"to all")
        clients[-1].send(b"from the last")
        session.expect(b"from the last")

    def messages_in_bags(self, daemon):
        daemon.drain()
        count = 0
        for name, fd in daemon.store:
            if name not in ("bag-1", "bag-3"):
                continue
            with socket.socket(fileno=os.dup(fd)) as bag:
                bag.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 0)
                with contextlib.suppress(BlockingIOError):
                    while bag.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                        count += 1
                bag.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, -1)
        return count

    def test_changed_keys_are_applied_as_by_a_reload(self):
        other = self.upstream()
        upstream, daemon, session = self.linked(CONFIG)
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.kill()
        daemon.configure(f"[Upstream]\nAddress={other.address}\n{CONFIG}")
        daemon.start()
        session2 = other.accept()
        self.assertIsNone(session.recv())
        client.send(b"to the other")
        session2.expect(b"to the other")
        self.assertEqual(daemon.status()["upstream"]["lastCause"], "operator")


class NoMemory(ManagedTest):
    """A connection that can't be watched is ended, and the service manager keeps no copy."""

    def lacking(self):
        """A daemon that will lack memory, once its file is there."""
        upstream, daemon, session = self.linked("ReconnectDelay=50ms\n")
        self.file = os.path.join(daemon.directory, "no-memory")
        daemon.more_env = {
            "LD_PRELOAD": self.preload("failing.c"),
            "FTCPD_FAILS": self.file,
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
        return upstream, daemon, session

    def lack(self, what):
        with open(self.file, "w", encoding="ascii") as file:
            file.write(f"{what} {errno.ENOMEM} once")

    def kept_upstreams(self, daemon):
        return [name for name in daemon.kept() if name.startswith("upstream")]

    def test_for_the_connection_of_the_last_run(self):
        upstream, daemon, session = self.lacking()
        daemon.client().send(b"first")
        daemon.wait_status(lambda s: s["toUpstream"]["delivered"]["messages"] == 1, "it to be there")
        daemon.kill()
        self.lack("watch-tcp")
        daemon.start()
        session.expect(b"first")
        self.assertIn(session.expect_end(), ("reset", "closed"))
        daemon.wait_log("no memory for a session")
        daemon.client().send(b"second")
        upstream.accept().expect(b"second")
        daemon.wait_state("up")
        self.assertEqual(self.kept_upstreams(daemon), ["upstream-2"])
        status = check_books(daemon.status())
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], 2)

    def test_for_a_new_connection(self):
        upstream, daemon, session = self.lacking()
        daemon.crash()
        self.lack("watch-tcp")
        beats, upstream.heartbeat = upstream.heartbeat, None  # a send would take the reset first
        session.reset()
        refused = upstream.accept()
        upstream.heartbeat = beats
        self.assertEqual(refused.expect_end(), "reset")
        upstream.accept()
        daemon.wait_state("up")
        daemon.drain()
        self.assertEqual(self.kept_upstreams(daemon), ["upstream-2"])

    def test_for_a_client(self):
        _, daemon, session = self.lacking()
        daemon.crash()
        self.lack("watch")
        self.assertEqual(daemon.client().expect_end(), "closed")
        client = daemon.client()
        client.send(b"another")
        session.expect(b"another")
        status = daemon.status()
        self.assertEqual((status["clientsAccepted"], status["clientsRefused"]), (1, 1))


class BadState(ManagedTest):
    """A state that cannot be trusted is refused: its connections end, and all begins anew."""

    def prepare(self):
        upstream, daemon, session = self.linked(CONFIG)
        client = daemon.client()
        daemon.wait_clients(1)
        client.send(b"before")
        session.expect(b"before")
        daemon.kill()
        daemon.drain()
        return upstream, daemon, session, client

    def check_fresh(self, upstream, daemon, session, client, why):
        daemon.start()
        self.assertRegex(daemon.log, "the state of the last run is not used.*" + why)
        client.expect_end()
        self.assertIsNone(self.end_of(session))
        session = upstream.accept()
        client = daemon.client()
        daemon.wait_clients(1)
        client.send(b"anew")
        session.expect(b"anew")
        self.assertEqual(daemon.status()["upstream"]["connects"], 1)
        self.assertEqual([name for name in daemon.kept() if not name.startswith("bag")],
                         ["config", "state", "upstream-1"])
        daemon.crash()  # and the new state is kept like any other
        client.send(b"again")
        session.expect(b"again")

    @staticmethod
    def end_of(session):
        try:
            return session.recv()
        except ConnectionResetError:
            return None

    def kept(self, daemon, what):
        return next(fd for name, fd in daemon.store if name == what)

    def state(self, daemon):
        return self.kept(daemon, "state")

    def test_another_version(self):
        made = self.prepare()
        os.pwrite(self.state(made[1]), (2).to_bytes(8, "little"), 8)
        self.check_fresh(*made, "another version")

    def test_a_truncated_state(self):
        made = self.prepare()
        os.ftruncate(self.state(made[1]), 4096)
        self.check_fresh(*made, "")

    def test_an_empty_state(self):
        made = self.prepare()
        os.ftruncate(self.state(made[1]), 0)
        self.check_fresh(*made, "")

    def test_a_damaged_position(self):
        made = self.prepare()
        fd = self.state(made[1])
        header = os.pread(fd, 1 << 17, 0)
        # The out log's end and number stand together: 10 bytes and 1 message.
        at = header.index((10).to_bytes(8, "little") + (1).to_bytes(8, "little"))
        os.pwrite(fd, (1 << 40).to_bytes(8, "little"), at)
        self.check_fresh(*made, "")

    def die_before_ready(self, daemon, times):
        daemon.more_env = {"LD_PRELOAD": self.preload("dies.c"), "FTCPD_DIES": "ready",
                           "ASAN_OPTIONS": "verify_asan_link_order=0"}
        for _ in range(times):
            daemon.start(wait=False)
            self.assertEqual(daemon.wait_exit(), -9)
        daemon.more_env = {}

    def test_five_starts_in_a_row_that_never_become_ready(self):
        made = self.prepare()
        self.die_before_ready(made[1], 5)
        self.assertNotIn("is not used", made[1].log)
        self.check_fresh(*made, r"5 starts in a row since \d\d:\d\d never became ready")

    def test_fewer_starts_in_a_row_cost_nothing(self):
        _, daemon, session, client = self.prepare()
        for _ in range(2):
            self.die_before_ready(daemon, 4)
            daemon.start()
            client.send(b"on")
            session.expect(b"on")
            daemon.kill()
        daemon.start()
        self.assertNotIn("is not used", daemon.log)

    def test_a_frame_without_a_length(self):
        made = self.prepare()
        fd = self.state(made[1])
        frame = (0, 0, 4, 0, 0, 0, 0)  # type, format, length_size and more
        words = b"".join(word.to_bytes(8, "little") for word in frame)
        at = os.pread(fd, 1 << 17, 1 << 16).index(words) + (1 << 16)
        os.pwrite(fd, bytes(8), at + 2 * 8)
        self.check_fresh(*made, r"\[Frame\] has changed")

    def test_another_frame(self):
        upstream, daemon, session, client = self.prepare()
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\n[Frame]\nLengthSize=2\n")
        daemon.start()
        self.assertRegex(daemon.log, r"not used.*\[Frame\] has changed")
        client.expect_end()
        self.assertIsNone(self.end_of(session))

    def test_another_frame_while_messages_wait_says_how_many_that_loses(self):
        upstream, daemon, session, client = self.prepare()
        upstream.refuse()
        session.reset()
        daemon.start()
        client.send(*[b"waits"] * 3)
        daemon.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 3, "3 messages")
        daemon.kill()
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\n[Frame]\nLengthSize=2\n")
        daemon.start()
        self.assertIn("[Frame] has changed; 3 messages (27 bytes) that waited for the upstream "
                      "are lost", daemon.log)
        client.expect_end()

    def test_a_bag_that_the_manager_dropped(self):
        made = self.prepare()
        made[1].forget("bag-1")
        self.check_fresh(*made, "bags")

    def test_who_is_in_a_bag_of_which_an_end_is_gone_is_turned_away_whoever_holds_it(self):
        made = self.prepare()
        bag = os.dup(self.kept(made[1], "bag-1"))
        self.addCleanup(os.close, bag)
        made[1].forget("bag-0")
        self.check_fresh(*made, "bags")

    def test_a_connection_that_the_manager_dropped_is_made_anew_and_its_messages_go_again(self):
        upstream, daemon, session, client = self.prepare()
        daemon.forget("upstream-1")
        daemon.start()
        self.assertIsNone(self.end_of(session))
        session = upstream.accept()
        client.send(b"on")
        # Whether the first one was acknowledged nobody knows: Resend=unacked lets it go again.
        self.assertIn(session.recv_n(2), ([b"before", b"on"], [b"on"]))
        self.assertIn("the connection of the last run is lost", daemon.log)

    def test_without_descriptors_for_all_the_state_is_given_up_and_the_next_one_begins_anew(self):
        upstream, daemon, session = self.linked(CONFIG)
        clients = [daemon.client() for _ in range(60)]
        daemon.wait_clients(60)
        daemon.kill()
        daemon.nofile = 48
        daemon.start(wait=False)
        self.assertEqual(daemon.wait_exit(), 1)
        self.assertIn("the state of the last run is given up", daemon.log)
        daemon.nofile = 256  # still few, but there is nothing to take over
        daemon.start()
        for client in clients:
            client.expect_end()
        self.assertIsNone(self.end_of(session))
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.crash()  # what is new is kept
        client.send(b"on")
        session.expect(b"on")

    def test_without_a_state_what_is_kept_besides_is_closed(self):
        upstream, daemon, session, client = self.prepare()
        daemon.forget("state")
        daemon.start()
        client.expect_end()
        self.assertIsNone(self.end_of(session))
        upstream.accept()
    def test_without_memory_for_it_now_nothing_is_ended_and_it_is_tried_again(self):
        upstream, daemon, session, client = self.prepare()
        daemon.address_space = 1 << 30
        daemon.start(wait=False)
        self.assertEqual(daemon.wait_exit(), 1)
        self.assertIn("LimitAS=", daemon.log)
        daemon.address_space = None
        daemon.start()
        client.send(b"on")
        session.expect(b"on")
        self.assertEqual(daemon.status()["upstream"]["connects"], 1)

    def test_a_socket_that_is_missing_ends_nobody_and_is_told(self):
        upstream, daemon, session, client = self.prepare()
        data = daemon.sockets.pop(0)
        self.addCleanup(data[1].close)
        daemon.start()
        client.send(b"on")
        session.expect(b"on")
        self.assertIn("systemd passed no socket named data", daemon.log)
        self.assertIn("nobody can connect: a socket is missing (see the log)",
                      [reason["text"] for reason in daemon.status()["reasons"]])


class BrokenFile(ManagedTest):
    """Whoever broke ftcpd.conf since it was read has not ended anybody's connection by that."""

    BROKEN = "[Upstream]\nAddress=nowhere\n[Heartbeat]\nInterval=soon\n"
    OUTDATED = "{} is broken: what was configured before the restart stays in force"

    def prepare(self):
        upstream, daemon, session = self.linked(CONFIG + "[Health]\nMaxAge=7min\n")
        client = daemon.client()
        daemon.wait_clients(1)
        return upstream, daemon, session, client

    def check_both_ways(self, session, client):
        session.send(b"down")
        client.expect(b"down")
        client.send(b"up")
        session.expect(b"up")

    def max_age(self, daemon):
        return next(s for s in daemon.call("GetConfig")["settings"] if s["key"] == "MaxAge")

    def test_what_was_in_force_stays_in_force_until_the_file_is_mended(self):
        upstream, daemon, session, client = self.prepare()
        was = self.max_age(daemon)
        self.assertEqual(was["value"], "7min")
        daemon.configure(self.BROKEN)
        for _ in range(2):  # and the process after that knows it too
            daemon.crash()
            self.check_both_ways(session, client)
            self.assertIn("[Heartbeat] Interval: ", daemon.log)
            self.assertIn("what was configured before the restart stays in force", daemon.log)
            self.assertEqual(self.max_age(daemon), was)
        status = daemon.status()
        self.assertEqual((status["health"], status["upstream"]["connects"]), ("warning", 1))
        self.assertIn(self.OUTDATED.format(daemon.config_path), status["reasons"][0]["text"])
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\n[Health]\nMaxAge=8min\n")
        daemon.call("Reload")
        self.assertEqual(self.max_age(daemon)["value"], "8min")
        self.assertEqual(daemon.status()["health"], "ok")
        daemon.configure(self.BROKEN)
        self.assertRaises(Exception, daemon.call, "Reload")
        daemon.crash()
        self.assertEqual(self.max_age(daemon)["value"], "8min")
        self.check_both_ways(session, client)

    def test_where_nothing_is_known_of_it_the_connections_are_ended_and_it_says_so(self):
        _, daemon, session, client = self.prepare()
        daemon.configure(self.BROKEN)
        daemon.kill()
        daemon.forget("config")
        daemon.start(wait=False)
        self.assertEqual(daemon.wait_exit(), 78)
        self.assertIn("its connections are ended", daemon.log)
        client.expect_end()
        self.assertIsNone(BadState.end_of(session))

    def test_who_waits_for_a_daemon_that_cannot_start_is_turned_away(self):
        daemon = self.daemon("", wait=False)
        self.assertEqual(daemon.wait_exit(), 78)
        client = daemon.client()
        daemon.start(wait=False)
        self.assertEqual(daemon.wait_exit(), 78)
        client.expect_end()
        self.assertIn("1 who waited for ftcpd were turned away", daemon.log)


if __name__ == "__main__":
    harness.main()

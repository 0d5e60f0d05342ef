# SPDX-License-Identifier: MIT
"""A crash costs at most the client that was being sent to or accepted, and the books say so."""
import random
import select
import threading

import harness
from harness import stamp, unstamp
from local import check_books, dropped
from manager import ManagedTest

DIES = {"ASAN_OPTIONS": "verify_asan_link_order=0"}
DEAL = "[Delivery]\nSlowClient=wait\nToClients=balance\n"
BALANCE = DEAL + "HoldSize=64M\n"
HOLD = "[Delivery]\nSlowClient=wait\nHoldSize=64M\n"


class Instant(ManagedTest):
    """At one instant, which a library that is preloaded finds."""

    def start_dying(self, daemon, instant):
        daemon.kill()
        library = self.preload("dies.c")
        daemon.more_env = {"LD_PRELOAD": library, "FTCPD_DIES": instant, **DIES}
        daemon.start()

    def next_process(self, daemon):
        self.assertEqual(daemon.wait_exit(), -9)
        daemon.more_env = {}
        daemon.start()


class SentTo(Instant):
    def messages(self, n):
        return [stamp(1, i, bytes(3000)) for i in range(n)]

    def check(self, daemon, readers, n):
        status = daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"] == 0,
                                    "nothing to wait")
        check_books(status)
        ended = harness.until(lambda: [r for r in readers if r.ended], "one to be disconnected")
        self.assertEqual(len(ended), 1)
        lost = dropped(status, "toClients", "client_gone")
        self.assertEqual(status["toClients"]["accepted"]["messages"], n)
        self.assertEqual(status["toClients"]["delivered"]["messages"] + lost, n)
        harness.until(lambda: sum(len(r.messages) for r in readers) >= n, "all messages")
        got = [unstamp(m)[1] for reader in readers for m in reader.messages]
        self.assertEqual(sorted(got), list(range(n)), "lost or doubled")
        self.assertEqual(len(ended[0].messages), lost)
        self.assertRegex(daemon.log, "is disconnected: ftcpd ended while it sent to it")

    def test_what_was_sent_to_one_reader_goes_to_no_other(self):
        _, daemon, session = self.linked(DEAL)
        self.start_dying(daemon, "send")
        readers = [daemon.client().collect() for _ in range(2)]
        daemon.wait_clients(2)
        daemon.freeze()
        session.send(*self.messages(20))
        daemon.thaw()
        self.next_process(daemon)
        self.check(daemon, readers, 20)

    def check_held(self, config):
        _, daemon, session = self.linked(config)
        session.send(*self.messages(20))
        daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"] == 20, "20 held messages")
        self.start_dying(daemon, "send")
        first = daemon.client().collect()
        self.next_process(daemon)
        first.wait_end()
        second = daemon.client().collect()
        daemon.wait_clients(1)
        session.send(stamp(1, 20))
        self.check(daemon, [first, second], 21)

    def test_what_was_held_and_sent_is_not_held_again(self):
        self.check_held(HOLD)

    def test_what_was_held_to_be_dealt_and_sent_is_not_held_again(self):
        self.check_held(BALANCE)

    def test_a_smaller_hold_of_the_next_process_drops_nothing_that_was_not_sent(self):
        """What may have been sent goes first, and the rest is within the new limit."""
        for config in (HOLD, BALANCE):
            _, daemon, session = self.linked(config + "ClientQueueSize=100K\n")
            session.send(*self.messages(1000))
            daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"] == 1000, "held ones")
            self.start_dying(daemon, "send")
            first = daemon.client().collect()
            self.assertEqual(daemon.wait_exit(), -9)
            daemon.more_env = {}
            with open(daemon.config_path, encoding="utf-8") as file:
                daemon.configure(file.read() + "[Delivery]\nHoldSize=2500K\n")
            daemon.start()
            first.wait_end()
            status = check_books(daemon.status())
            self.assertEqual(dropped(status, "toClients", "hold_full"), 0)
            self.assertGreater(dropped(status, "toClients", "client_gone"), len(first.messages))
            self.assertGreater(status["toClients"]["queued"]["messages"], 600)


class Wrote(Instant):
    """One that is ended because of the crash, and wrote what ftcpd had not read."""

    def check(self, daemon, client, n):
        client.collect().wait_end()
        status = daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] >= n,
                                    "all messages that it wrote")
        self.assertEqual(status["toUpstream"]["accepted"]["messages"], n)
        check_books(status)
        return status

    def test_what_it_wrote_while_ftcpd_was_gone_is_read(self):
        _, daemon, session = self.linked("[Delivery]\nSlowClient=wait\n")
        self.start_dying(daemon, "send")
        other, client = daemon.client(), daemon.client()  # the last is sent to first
        daemon.wait_clients(2)
        half = client.frame.wrap(bytes(1000))
        other.send_raw(half[:500])
        written = [b"%d" % i for i in range(300)]
        client.send(*written[:10])
        session.expect(*written[:10])
        daemon.freeze()
        session.send(*[stamp(1, i, bytes(3000)) for i in range(20)])
        daemon.thaw()
        self.assertEqual(daemon.wait_exit(), -9)
        client.send(*written[10:])
        client.send_raw(half[:7])
        other.send_raw(half[500:])
        daemon.more_env = {}
        daemon.start()
        got = sorted(session.recv() for _ in range(len(written) - 10 + 1))
        self.assertEqual(got, sorted(written[10:] + [bytes(1000)]))
        status = self.check(daemon, client, 301)
        self.assertEqual(status["refused"]["messages"], 1)
        other.send(b"more")
        session.expect(b"more")

    def test_what_it_wrote_for_a_queue_that_is_full_is_read(self):
        upstream, daemon, session = self.linked(
            "[Frame]\nMaxMessageSize=4K\n[Delivery]\nUpstreamQueueSize=8K\nHoldSize=64M\n")
        session.send(*[stamp(1, i, bytes(3000)) for i in range(20)])
        daemon.wait_status(lambda s: s["toClients"]["queued"]["messages"] == 20, "20 held messages")
        upstream.refuse()
        session.reset()
        daemon.wait_state("waiting")
        self.start_dying(daemon, "send")
        client = daemon.client()
        client.send(*[bytes(1000)] * 30)
        self.next_process(daemon)
        self.check(daemon, client, 30)


class Received(Instant):
    """From an upstream that is gone when the next process asks how much was read."""

    def check(self, end, cause):
        upstream, daemon, session = self.linked("[Delivery]\nSlowClient=wait\n")
        self.start_dying(daemon, "read")
        reader = daemon.client()
        daemon.wait_clients(1)
        daemon.freeze()
        messages = [stamp(1, i, bytes(3000)) for i in range(20)]
        session.send(*messages)
        daemon.thaw()
        self.assertEqual(daemon.wait_exit(), -9)
        daemon.more_env = {}
        upstream.refuse()
        end(session)
        daemon.start()
        reader.expect(*messages)
        status = daemon.wait_state("waiting")
        self.assertEqual(daemon.wait_log("link: (closed|reset): ").group(1), cause)
        self.assertEqual(status["toClients"]["accepted"]["messages"], len(messages))
        check_books(status)

    def test_what_was_read_before_a_reset_is_known_to_the_byte(self):
        self.check(harness.Framed.reset, "reset")

    def test_what_was_read_before_the_end_is_known_to_the_byte(self):
        self.check(harness.Framed.shut_write, "closed")

    def test_what_was_read_before_the_end_and_a_reset_is_known_to_the_byte(self):
        def end(session):
            session.shut_write()
            session.reset()

        self.check(end, "closed")


class Unfinished(Instant):
    """What clients have begun to send is counted by the next process as by the last one."""

    def wait_begun(self, daemon, number, size):
        def begun(_):
            clients = {c["id"]: c for c in daemon.call("ListClients")["clients"]}
            return (clients.get(number, {}).get("partial") or {}).get("receivedBytes") == size

        daemon.wait_status(begun, f"{size} bytes of client {number}")

    def test_who_is_disconnected_with_something_begun_counts_no_more(self):
        _, daemon, session = self.linked("[Delivery]\nSlowClient=wait\n")
        first = daemon.client()
        daemon.wait_clients(1)
        first.send_raw(first.frame.wrap(bytes(2000))[:1000])
        self.wait_begun(daemon, 1, 1000)
        self.start_dying(daemon, "send")
        daemon.freeze()
        session.send(bytes(60000))
        daemon.thaw()
        self.next_process(daemon)
        daemon.wait_log("client 1 .*is disconnected: ftcpd ended while it sent to it")
        second = daemon.client()
        whole = second.frame.wrap(b"whole")
        second.send_raw(whole[:5])
        self.wait_begun(daemon, 2, 5)
        second.send_raw(whole[5:])
        session.expect(b"whole")
        self.assertNotIn("PartialSize", daemon.log)

    def test_the_largest_message_is_ended_after_a_crash_as_before(self):
        _, daemon, _ = self.linked("[Frame]\nMaxMessageSize=60K\n"
                                   "[Local]\nPartialSize=100K\n")
        clients = []
        for _ in range(4):
            clients.append(daemon.client())
            daemon.wait_clients(len(clients))
        message = clients[0].frame.wrap(bytes(60000))
        for i, size in ((2, 20000), (3, 40000), (0, 30000)):
            clients[i].send_raw(message[:size])
            self.wait_begun(daemon, i + 1, size)
        daemon.crash()
        clients[1].send_raw(message[:20000])
        clients[3].expect_end()
        daemon.wait_clients(3)
        self.wait_begun(daemon, 2, 20000)
        self.assertEqual({c["id"] for c in daemon.call("ListClients")["clients"]}, {1, 2, 3})


class Answering(ManagedTest):
    """At random, while the upstream asks without pause whether ftcpd lives."""

    def ask(self, session, done):
        asks = session.frame.wrap(b"ping") * 50
        while not done.is_set():
            session.send_raw(asks)

    def read(self, session, tail):
        """Raw: parsed, the answers would come slower than they are asked for."""
        while b"still here" not in tail[0]:
            if select.select([session.sock], [], [], 0.1)[0]:
                tail[0] = tail[0][-20:] + session.sock.recv(1 << 20)

    def test_a_crash_amid_answers_costs_nothing(self):
        upstream = self.upstream(heartbeat=None, skip=())
        daemon = self.daemon(f"[Upstream]\nAddress=127.0.0.1:{upstream.port}\n[Heartbeat]\n"
                             "Interval=60s\nTimeout=0\nMessage=ping\nAnswer=pong\n")
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        daemon.wait_clients(1)
        done, tail = threading.Event(), [b""]
        threads = [threading.Thread(target=self.ask, args=(session, done), daemon=True),
                   threading.Thread(target=self.read, args=(session, tail), daemon=True)]
        for thread in threads:
            thread.start()
        try:
            rng = random.Random(number := harness.seed())
            print("seed", number)
            for kill in range(harness.often(8, 200, "FTCPD_TEST_CRASHES")):
                mark = len(daemon.log)
                done.wait(0.05 + rng.random() * 0.1)
                daemon.crash()
                self.assertNotIn("not used", daemon.log[mark:], f"kill {kill}")
        finally:
            done.set()
        threads[0].join()
        client.send(b"still here")
        threads[1].join()


class Load(ManagedTest):
    """At random, while each message is dealt to one of five who come again when they are lost."""

    def read(self, daemon, done, all_of_them):
        while not done.is_set():
            reader = daemon.client().collect()
            all_of_them.append(reader)
            while not done.is_set() and not reader.ended:
                done.wait(0.01)

    def feed(self, session, done, fed):
        while not done.is_set():
            session.send(*[stamp(1, fed[0] + i, bytes(300)) for i in range(100)])
            fed[0] += 100

    def test_crashes_under_load_double_nothing_that_is_dealt_to_one(self):
        rng = random.Random(number := harness.seed())
        print("seed", number)
        _, daemon, session = self.linked(BALANCE)
        done, readers, fed = threading.Event(), [], [0]
        threads = [threading.Thread(target=self.read, args=(daemon, done, readers))
                   for _ in range(5)]
        threads.append(threading.Thread(target=self.feed, args=(session, done, fed)))
        for thread in threads:
            thread.start()
        try:
            for _ in range(harness.often(40, 500, "FTCPD_TEST_CRASHES")):
                done.wait(rng.random() * 0.3)
                daemon.crash()
        finally:
            done.set()
            for thread in threads:
                thread.join(harness.DEADLINE)
        status = daemon.wait_status(
            lambda s: s["toClients"]["accepted"]["messages"] == fed[0]
            and s["toClients"]["queued"]["messages"] == 0, "everything to be delivered")
        check_books(status)
        delivered = status["toClients"]["delivered"]["messages"]
        lost = dropped(status, "toClients", "client_gone")
        self.assertEqual(delivered + lost, fed[0], status["toClients"])
        harness.until(lambda: sum(len(r.messages) for r in readers) >= delivered, "all messages")
        got = [unstamp(m)[1] for reader in readers for m in reader.messages]
        ended = len([r for r in readers if r.ended])
        print(f"{fed[0]} messages, {len(readers)} readers, {ended} disconnected, {lost} client_gone")
        self.assertEqual(len(got), len(set(got)), "doubled")


class Accepted(Instant):
    """Who was being accepted is counted and told, and nobody else."""

    def check(self, instant, said, kept):
        _, daemon, session = self.linked()
        stays = daemon.client()
        daemon.wait_clients(1)
        gone = daemon.client()
        daemon.wait_clients(2)
        gone.close()  # who left before is not told of
        daemon.wait_clients(1)
        self.start_dying(daemon, instant)
        newcomer = daemon.client()
        self.next_process(daemon)
        self.assertRegex(daemon.log, said)
        if kept:
            daemon.wait_clients(2)
            session.send(b"down")
            newcomer.expect(b"down")
        else:
            newcomer.expect_end()
            session.send(b"down")
        stays.expect(b"down")
        status = daemon.status()
        self.assertEqual(status["clientsAccepted"], 3 if kept else 2)
        self.assertEqual(status["clientsRefused"], 1)
        told = [e["text"] for e in daemon.call("RecentEvents")["events"]
                if e["kind"] == "client" and "disconnected" in e["text"]]
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], said)
        daemon.crash()
        self.assertEqual(daemon.status()["clientsRefused"], 1)

    def test_one_that_was_kept_but_not_in_the_table_is_counted_and_told(self):
        self.check("keep", "a client is disconnected: ftcpd ended while it was being accepted", False)

    def test_one_of_whom_nobody_knows_is_counted_and_told(self):
        self.check("accept", "a client may have been disconnected: ftcpd ended while", False)

    def test_one_that_still_stood_at_the_door_comes_in_all_the_same(self):
        self.check("call", "a client may have been disconnected: ftcpd ended while", True)

    def test_a_crash_while_nobody_comes_tells_of_nobody(self):
        _, daemon, _ = self.linked()
        client = daemon.client()
        daemon.wait_clients(1)
        daemon.crash()
        client.close()
        daemon.wait_clients(0)
        daemon.crash()
        status = daemon.status()
        self.assertEqual((status["clientsAccepted"], status["clientsRefused"]), (1, 0))
        self.assertNotIn("disconnected", daemon.log)


class Outage(ManagedTest):
    def test_an_outage_is_as_long_as_it_is_whatever_crashes(self):
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n[Health]\nCriticalAfter=1s\n")
        harness.until(lambda: daemon.call("Health")["health"] == "critical", "it to be critical")
        before = daemon.call("Health")["reasons"][0]["text"]
        daemon.crash()
        after = daemon.call("Health")
        self.assertEqual(after["health"], "critical", f"{before}; and now {after}")


if __name__ == "__main__":
    harness.main()

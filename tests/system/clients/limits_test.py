# SPDX-License-Identifier: MIT
"""Limits and policies that a reload changes, on queues that are longer already."""
import resource
import threading

import harness
from harness import stamp, unstamp
from local import BooksWatch, Wrapped, check_books, dropped, fill, stays, wait_listed
from spreading import numbered, numbers_of, wait_accepted, wait_received


class Limits(harness.SystemTest):
    def start(self, config, clients=0, **options):
        """The daemon, the upstream's session and so many clients."""
        self.up, self.process, self.session = self.linked(config, **options)
        made = [self.process.client() for _ in range(clients)]
        self.process.wait_clients(clients)
        return made

    def reload(self, config):
        self.process.configure(f"[Upstream]\nAddress={self.up.address}\n{config}")
        self.process.call("Reload")
        return check_books(self.process.status())

    def paused(self):
        return self.process.status()["upstream"]["paused"]

    def hang(self, config, count=3000):
        """One client that hangs with a long queue, and one that has taken everything."""
        hangs, reads = self.start(config, 2)
        got = reads.collect()
        self.session.send(*numbered(0, count, 1024))
        got.wait_count(count)
        self.assertGreater(wait_accepted(self.process, 2 * count)["toClients"]["fullestBytes"],
                           2_000_000)
        return hangs, got

    def stuck(self, config, count=20_000):
        """One client that hangs beyond its limit, for which all wait, and one that reads."""
        hangs, reads = self.start(config, 2)
        got = reads.collect()
        messages = numbered(0, count, 1024)
        threading.Thread(target=self.session.send, args=messages, daemon=True).start()
        self.process.wait_status(lambda s: s["upstream"]["paused"], "the pause")
        return hangs, got


class ClientQueue(Limits):
    """ClientQueueSize= and SlowClient=."""

    @harness.in_time
    def test_with_disconnect_a_client_beyond_the_new_limit_has_its_grace_and_goes(self):
        hangs, got = self.hang("")
        with BooksWatch(self.process):
            self.reload("[Delivery]\nClientQueueSize=64K\nSlowClientGrace=500ms\n")
            self.session.send(*numbered(3000, 3010))
            self.process.wait_log("client 1 .* is disconnected: too slow")
            got.wait_count(3010)
        status = self.process.status()
        taken = len(numbers_of(iter(hangs.recv, None)))
        total = taken + dropped(status, "toClients", "queue_full")
        self.assertIn(total, (3000, 3010))  # was it there still when the last ten came?

    def test_with_disconnect_who_reads_within_its_grace_loses_nothing(self):
        hangs, got = self.hang("")
        self.reload("[Delivery]\nClientQueueSize=64K\nSlowClientGrace=20s\n")
        hangs.expect(*numbered(0, 3000, 1024))
        self.session.send(*numbered(3000, 3010))
        hangs.expect(*numbered(3000, 3010))
        self.assertEqual(self.process.status()["toClients"]["dropped"], [])

    def test_with_wait_it_pauses_at_once_and_loses_nothing(self):
        hangs, got = self.hang("[Delivery]\nSlowClient=wait\n")
        with BooksWatch(self.process):
            self.reload("[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n")
            self.assertTrue(self.paused())
            self.session.send(*numbered(3000, 3010))
            hangs.expect(*numbered(0, 3000, 1024), *numbered(3000, 3010))
            got.wait_count(3010)
        self.process.wait_status(lambda s: not s["upstream"]["paused"], "no pause")
        self.assertEqual(self.process.status()["toClients"]["dropped"], [])

    def test_with_drop_the_oldest_go_at_once(self):
        hangs, got = self.hang("[Delivery]\nSlowClient=drop\n")
        with BooksWatch(self.process):
            status = self.reload("[Delivery]\nSlowClient=drop\nClientQueueSize=64K\n")
            self.assertLessEqual(status["toClients"]["fullestBytes"], 65536)
            lost = dropped(status, "toClients", "queue_full")
            self.assertGreater(lost, 1000)
            self.assertFalse(status["upstream"]["paused"])
            seen = numbers_of(hangs.recv_n(3000 - lost))
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual((seen[0], seen[-1]), (0, 2999))

    def test_a_larger_limit_ends_the_pause(self):
        hangs, got = self.stuck("[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n", 8000)
        with BooksWatch(self.process):
            self.reload("[Delivery]\nSlowClient=wait\nClientQueueSize=32M\n")
            got.wait_count(8000)
            self.assertFalse(self.paused())
            hangs.expect(*numbered(0, 8000, 1024))

    def test_from_wait_to_drop_nobody_waits_any_more(self):
        hangs, got = self.stuck("[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n")
        with BooksWatch(self.process):
            status = self.reload("[Delivery]\nSlowClient=drop\nClientQueueSize=64K\n")
            self.assertFalse(status["upstream"]["paused"])
            self.assertLessEqual(status["toClients"]["fullestBytes"], 65536)
            wait_received(self.process, 20_000)
        status = check_books(self.process.status())
        self.assertEqual(status["clients"], 2)
        seen = []
        while not seen or seen[-1] != 19_999:
            seen.append(unstamp(hangs.recv())[1])
        self.assertEqual(seen, sorted(set(seen)))

    @harness.in_time
    def test_from_wait_to_disconnect_the_time_before_is_free_and_then_it_goes(self):
        hangs, got = self.stuck("[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n")
        stays(self.paused, 1)
        self.reload("[Delivery]\nClientQueueSize=64K\nSlowClientGrace=3s\n")
        stays(lambda: self.process.status()["clients"] == 2)
        self.process.wait_log("client 1 .* is disconnected: too slow")
        got.wait_count(20_000)
        self.assertEqual(numbers_of(got.messages), list(range(20_000)))

    @harness.in_time
    def test_from_disconnect_to_wait_it_may_hang_on(self):
        hangs, got = self.stuck("[Delivery]\nClientQueueSize=64K\nSlowClientGrace=3s\n", 3000)
        self.reload("[Delivery]\nSlowClient=wait\nClientQueueSize=64K\nSlowClientGrace=3s\n")
        stays(lambda: self.process.status()["clients"] == 2 and self.paused(), 3.5)
        hangs.expect(*numbered(0, 3000, 1024))
        got.wait_count(3000)

    def test_from_drop_to_wait_nothing_is_dropped_from_then_on(self):
        hangs, got = self.hang("[Delivery]\nSlowClient=drop\n")
        self.reload("[Delivery]\nSlowClient=wait\nClientQueueSize=64K\n")
        self.assertTrue(self.paused())
        hangs.expect(*numbered(0, 3000, 1024))
        self.assertEqual(self.process.status()["toClients"]["dropped"], [])

    def test_a_shorter_stall_timeout_counts_for_who_hangs_already(self):
        hangs, got = self.hang("")
        self.reload("[Delivery]\nClientStallTimeout=300ms\n")
        self.process.wait_log("client 1 .* is disconnected: .*ClientStallTimeout=")
        check_books(self.process.status())

    def test_with_balance_the_same_limits_hold(self):
        balance = "[Delivery]\nToClients=balance\nSlowClient=drop\n"
        (hangs,) = self.start(balance, 1)
        self.session.send(*numbered(0, 3000, 1024))
        wait_accepted(self.process, 3000)
        status = self.reload(balance + "ClientQueueSize=64K\n")
        lost = dropped(status, "toClients", "queue_full")
        self.assertGreater(lost, 1000)
        self.assertLessEqual(status["toClients"]["fullestBytes"], 65536)
        seen = numbers_of(hangs.recv_n(3000 - lost))
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual(seen[-1], 2999)


class UpstreamQueue(Limits):
    """UpstreamQueueSize= and what is on its way there."""

    CONFIG = "[Heartbeat]\nInterval=0\nTimeout=0\n[Frame]\nMaxMessageSize=64K\n[Delivery]\n"

    def fill(self, size, client):
        """An upstream that does not read, and a client that has filled the queue."""
        return fill(
            client,
            b"F" * 4000,
            full=lambda: self.process.status()["toUpstream"]["queued"]["bytes"] >= size,
        )

    def accepted(self):
        return self.process.status()["toUpstream"]["accepted"]["messages"]

    def test_smaller_takes_nothing_more_until_there_is_room_and_loses_nothing(self):
        (client,) = self.start(self.CONFIG + "UpstreamQueueSize=8M\n", 1, heartbeat=None)
        sent, rest = self.fill(8 << 20, client)
        status = self.reload(self.CONFIG + "UpstreamQueueSize=128K\n")
        self.assertGreater(status["toUpstream"]["queued"]["bytes"], 8_000_000)
        self.assertEqual(status["toUpstream"]["limitBytes"], 128 * 1024)
        self.assertEqual(status["toUpstream"]["dropped"], [])
        other = self.process.client()
        other.send(b"behind all that")
        before = self.accepted()
        stays(lambda: self.accepted() == before)
        with BooksWatch(self.process):
            got = self.session.collect()
            if rest:
                client.send_raw(rest)
            count = sent + bool(rest) + 1
            got.wait_count(count)
            status = self.process.wait_status(
                lambda s: not s["toUpstream"]["queued"]["bytes"], "no queue")
        self.assertEqual(status["toUpstream"]["delivered"]["messages"], count)
        self.assertEqual(got.messages.count(b"behind all that"), 1)
        fill(client, b"F" * 4000, 4 << 20)  # and now the new limit is in force
        got.wait_count(count + 1)

    def test_larger_frees_who_had_to_wait(self):
        (client,) = self.start(self.CONFIG + "UpstreamQueueSize=128K\n", 1, heartbeat=None)
        sent, rest = self.fill(128 << 10, client)
        more = b"".join(client.frame.wrap(b"F" * 4000) for _ in range(500))
        sender = threading.Thread(target=client.send_raw, args=(rest + more,), daemon=True)
        sender.start()
        before = self.accepted()
        self.reload(self.CONFIG + "UpstreamQueueSize=16M\n")
        harness.until(lambda: self.accepted() == sent + bool(rest) + 500, "all to be taken")
        self.assertGreater(self.accepted(), before)
        sender.join(harness.DEADLINE)
        self.session.collect().wait_count(sent + bool(rest) + 500)

    def test_a_smaller_message_limit_keeps_what_was_accepted(self):
        (client,) = self.start("[Heartbeat]\nInterval=0\nTimeout=0\n", 1, heartbeat=None)
        messages = numbered(0, 30, 500_000)
        sender = threading.Thread(target=client.send, args=messages, daemon=True)
        sender.start()
        harness.until(lambda: self.accepted() == 30, "all to be taken")
        self.reload("[Heartbeat]\nInterval=0\nTimeout=0\n[Frame]\nMaxMessageSize=1000\n")
        self.session.expect(*messages)
        client.send(stamp(0, 30))
        self.session.expect(stamp(0, 30))
        client.send(bytes(1001))
        client.expect_end()


class Rooms(Limits):
    """PartialSize= and MaxClients=."""

    def partial(self, size):
        """A client in the middle of a message, so many bytes of which have come."""
        client = self.process.client()
        client.send_raw(client.frame.length_field(2_000_000) + bytes(size - 4))
        wait_listed(self.process, lambda c: c.get("partial")
                    and c["partial"]["receivedBytes"] == size, "its bytes")
        return client

    def ids(self):
        return [c["id"] for c in self.process.call("ListClients")["clients"]]

    def test_a_smaller_room_for_parts_ends_the_largest_until_they_fit(self):
        self.start("[Frame]\nMaxMessageSize=2M\n")
        for size in (200_000, 150_000, 100_001, 50_000):
            self.partial(size)
        self.reload("[Frame]\nMaxMessageSize=2M\n[Local]\nPartialSize=160K\n")
        self.process.wait_clients(2)
        self.assertEqual(self.ids(), [3, 4])
        status = check_books(self.process.status())
        self.assertEqual(status["refused"], {"messages": 2, "bytes": 350_000})
        self.process.wait_log("client 1 .* is disconnected: .*PartialSize=")

    def test_a_crowd_that_ends_for_it_at_once_needs_no_more_stack_than_one(self):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with Wrapped(self, '#!/bin/sh\nulimit -s 256\nexec {ftcpd} "$@"\n'):
            crowd = self.start("[Local]\nMaxClients=3000\n", 3000)
        for client in crowd:
            client.send_raw(b"\0")
        self.process.wait_status(
            lambda _: all(c.get("partial") for c in self.process.call("ListClients")["clients"]),
            "a part of each")
        self.reload("[Local]\nMaxClients=3000\nPartialSize=1\n")
        self.process.wait_clients(1)
        crowd[0].send_raw(b"\0\0\x05first")
        self.session.expect(b"first")

    def test_fewer_places_leave_who_is_there_and_refuse_who_comes(self):
        clients = self.start("", 4)
        self.reload("[Local]\nMaxClients=2\n")
        late = self.process.client()
        late.expect_end()
        self.session.send(b"for the four")
        for client in clients:
            client.expect(b"for the four")
        for client in clients[:3]:
            client.close()
        self.process.wait_clients(1)
        self.process.client()
        self.process.wait_clients(2)
        self.assertEqual(self.process.status()["clientsRefused"], 1)


if __name__ == "__main__":
    harness.main()

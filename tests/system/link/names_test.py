# SPDX-License-Identifier: MIT
"""Names: a resolver that is slow, wrong, hangs or has died, and which of several reasons is told.

A host whose first name server is dead gets each answer after 20 s. ftcpd waited for 10 s, threw the
answer away and asked again, for ever. And a name server that died took a link with it whose peer
stood where it always had."""
import os
import re
import socket
import unittest.mock

import harness
from manager import ManagedTest

QUICK = "ReconnectDelay=50ms\nReconnectDelayMax=100ms\nStableTime=200ms\n"
HANGS = 3600000


class NamesTest(harness.SystemTest):
    """A daemon under a resolver of the test: self.names() says what it answers."""

    def setUp(self):
        super().setUp()
        self.library = self.preload("names.c")
        self.path = os.path.join(os.path.dirname(self.library), "names")

    def names(self, **names):
        """name=(milliseconds, address ...)"""
        with open(self.path + ".new", "w", encoding="ascii") as file:
            for name, answer in names.items():
                file.write(" ".join([name, *map(str, answer)]) + "\n")
        os.rename(self.path + ".new", self.path)

    def env(self):
        return {
            "LD_PRELOAD": self.library,
            "FTCPD_NAMES": self.path,
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }

    def named(self, addresses, keys=QUICK):
        lines = "".join(f"Address={address}\n" for address in addresses.split())
        return self.daemon(f"[Upstream]\n{lines}{keys}", env=self.env())

    def link_events(self, daemon):
        return [e for e in daemon.call("RecentEvents")["events"] if e["kind"] == "link"]


class Many(NamesTest):
    def test_thousands_of_addresses_are_one_event_a_round_and_keep_nobody_waiting(self):
        many = harness.often(3000, 20000)
        self.names(feed=(0, f"127.0.0.0/{many}"))
        daemon = self.named("feed:1", "ReconnectDelay=1s\nReconnectDelayMax=1s\n")
        daemon.wait_state("waiting")  # the round is over
        status = daemon.status()["upstream"]
        self.assertEqual(status["lastError"], "connecting to 127.1.0.1:1: Connection refused")
        metrics = daemon.call("GetMetrics")["text"]
        failures = re.search(r'connect_failures_total{.*cause="refused"} (\d+)', metrics)
        self.assertGreaterEqual(int(failures[1]), many)
        events = daemon.call("RecentEvents")["events"]
        self.assertEqual(events[0]["seq"], 1)  # none was washed out
        self.assertLess(len(self.link_events(daemon)), 20)
        # Of processor time, some milliseconds; a deadline.
        self.assertLess(daemon.call("GetLatency")["longestPassUsec"], 300000)


class Slow(NamesTest):
    def test_an_answer_that_comes_after_the_limit_is_used(self):
        upstream = self.upstream()
        self.names(feed=(1500, "127.0.0.1"))
        daemon = self.named(f"feed:{upstream.port}", QUICK + "ResolveTimeout=200ms\n")
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual(status["lastCause"], "resolve")
        self.assertEqual(
            status["lastError"],
            f"resolving feed:{upstream.port}: no answer within ResolveTimeout=200ms",
        )
        self.assertEqual(daemon.log.count("no answer within"), 1)

    def test_an_answer_that_comes_while_the_link_waits_is_for_the_next_attempt(self):
        upstream = self.upstream()
        self.names(feed=(600, "127.0.0.1"))
        daemon = self.named(
            f"feed:{upstream.port}",
            "ReconnectDelay=3s\nReconnectDelayMax=3s\nResolveTimeout=100ms\n",
        )
        daemon.wait_state("waiting")
        self.names()  # whoever asks again learns nothing
        upstream.accept()
        daemon.wait_state("up")

    def test_a_reload_with_another_name_takes_no_answer_for_the_old_one(self):
        old, new = self.upstream(), self.upstream()
        self.names(old=(800, "127.0.0.1"), new=(1600, "127.0.0.1"))
        daemon = self.named(f"old:{old.port}")
        daemon.wait_state("resolving")
        daemon.reconfigure(f"[Upstream]\nAddress=\nAddress=new:{new.port}\n")
        new.accept()
        daemon.wait_state("up")
        old.listener.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            old.listener.accept()

    @harness.in_time
    def test_nothing_waits_for_a_resolver_that_hangs(self):
        upstream = self.upstream()
        self.names(feed=(HANGS, "127.0.0.1"), other=(0, "127.0.0.1"))
        daemon = self.named(f"feed:{upstream.port}", "ResolveTimeout=2min\nStopTimeout=1min\n")
        daemon.wait_state("resolving")
        daemon.reconfigure(f"[Upstream]\nAddress=\nAddress=other:{upstream.port}\n")
        upstream.accept()
        daemon.wait_state("up")
        daemon.reconfigure(f"[Upstream]\nAddress=\nAddress=feed:{upstream.port}\n")
        daemon.wait_state("resolving")
        daemon.call("Hold")
        daemon.wait_state("held")
        daemon.call("Release")
        daemon.wait_state("resolving")
        self.assertEqual(daemon.stop(timeout=20), 0)

    def test_a_resolver_that_hung_does_not_keep_the_link_from_one_that_answers(self):
        upstream = self.upstream()
        self.names(feed=(HANGS,))
        daemon = self.named(f"feed:{upstream.port}", QUICK + "ResolveTimeout=300ms\n")
        daemon.wait_log("no answer within ResolveTimeout=300ms")
        self.names(feed=(0, "127.0.0.1"))
        upstream.accept()
        daemon.wait_state("up")


class Gone(NamesTest):
    def up_by_name(self, keys=QUICK, names=("127.0.0.1",), **options):
        """A link that was up at feed, after which nobody knows feed any more."""
        upstream = self.upstream(**options)
        self.names(feed=(0, *names))
        daemon = self.named(f"feed:{upstream.port}", keys)
        session = upstream.accept()
        daemon.wait_state("up")
        self.names()
        return upstream, daemon, session

    def test_the_address_of_the_last_connection_is_tried_and_that_is_said(self):
        upstream, daemon, session = self.up_by_name()
        session.reset()
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual((status["peer"], status["lastCause"]), (upstream.address, "resolve"))
        self.assertRegex(
            status["lastError"],
            r"^resolving feed:\d+: Name or service not known; "
            "the address when last connected is tried$",
        )
        said = (
            f"up: connected to feed:{upstream.port} ({upstream.address}, its address when last "
            "connected: the name can't be resolved)"
        )
        daemon.wait_log(said.replace("(", r"\(").replace(")", r"\)"))
        self.assertTrue(said.endswith(self.link_events(daemon)[-1]["text"]))

    def test_where_it_refuses_that_is_the_reason_and_both_are_said(self):
        upstream, daemon, session = self.up_by_name()
        upstream.refuse()
        session.reset()
        status = daemon.wait_status(
            lambda s: s["upstream"]["lastCause"] == "refused", "it to refuse"
        )
        self.assertRegex(
            status["upstream"]["lastError"],
            r"^connecting to 127\.0\.0\.1:\d+: Connection refused \(its address when last "
            r"connected; resolving feed:\d+: Name or service not known\)$",
        )
        self.assertIn("its address when last connected", status["reasons"][0]["text"])
        upstream.listen()
        upstream.accept()
        daemon.wait_state("up")

    def test_an_answer_is_preferred_as_soon_as_there_is_one(self):
        upstream, daemon, session = self.up_by_name()
        moved = self.upstream(host="127.0.0.2", port=upstream.port)
        self.names(feed=(0, "127.0.0.2"))
        session.reset()
        moved.accept()
        self.assertEqual(daemon.wait_state("up")["upstream"]["peer"], moved.address)

    def test_a_name_that_a_reload_brought_has_no_addresses_of_another(self):
        upstream, daemon, _ = self.up_by_name()
        daemon.reconfigure(f"[Upstream]\nAddress=\nAddress=other:{upstream.port}\n")
        status = daemon.wait_status(
            lambda s: s["upstream"]["lastCause"] == "resolve", "the name to be unknown"
        )["upstream"]
        self.assertRegex(status["lastError"], r"^resolving other:\d+: Name or service not known$")
        self.assertEqual(status["connects"], 1)

    def test_the_only_address_is_tried_again_after_an_unstable_connection(self):
        upstream, daemon, session = self.up_by_name(QUICK.replace("200ms", "1h"))
        for _ in range(2):
            session.close()
            session = upstream.accept()
            daemon.wait_state("up")
        states = [e["state"] for e in self.link_events(daemon)]
        self.assertEqual(states.count("waiting"), 2, states)  # no round went by without a try

    def test_a_connection_that_did_not_prove_itself_is_not_remembered(self):
        upstream = self.upstream(heartbeat=None)
        self.names(feed=(0, "127.0.0.1"))
        daemon = self.named(f"feed:{upstream.port}")
        session = upstream.accept()  # a tunnel without a program, say
        daemon.wait_state("connected")
        self.names()
        session.close()
        status = daemon.wait_status(
            lambda s: s["upstream"]["lastCause"] == "resolve", "the name to be unknown"
        )["upstream"]
        self.assertRegex(status["lastError"], r"^resolving feed:\d+: Name or service not known$")


class TakenOver(NamesTest, ManagedTest):
    def test_the_address_of_a_connection_that_a_predecessor_made_is_remembered(self):
        upstream = self.upstream()
        self.names(feed=(0, "127.0.0.1"))
        with unittest.mock.patch.dict(os.environ, self.env()):
            daemon = self.daemon(f"[Upstream]\nAddress=feed:{upstream.port}\n{QUICK}")
            session = upstream.accept()
            daemon.wait_state("up")
            self.names()
            daemon.crash()
            daemon.wait_state("up")
            session.reset()
            upstream.accept()
            status = daemon.wait_state("up")["upstream"]
        self.assertEqual((status["peer"], status["lastCause"]), (upstream.address, "resolve"))


class Telling(NamesTest):
    def closed_port(self):
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]

    def told(self, daemon):
        """What stands in the status after a few rounds."""
        daemon.wait_status(
            lambda s: s["upstream"]["state"] == "waiting" and s["upstream"]["lastError"], "a round"
        )
        return daemon.status()["upstream"]

    def test_the_reason_of_a_round_is_that_of_its_most_telling_address(self):
        # The kernel connects to no broadcast address: unreachable.
        for names in (("127.0.0.1", "255.255.255.255"), ("255.255.255.255", "127.0.0.1")):
            port = self.closed_port()
            self.names(feed=(0, *names))
            daemon = self.named(f"nobody:1 feed:{port} 010.0.0.1:1")
            status = self.told(daemon)
            self.assertEqual(
                (status["lastCause"], status["lastError"]),
                ("refused", f"connecting to 127.0.0.1:{port}: Connection refused"),
            )
            daemon.wait_log("link: refused: ")
            self.assertNotIn("link: resolve: ", daemon.log)
            self.assertNotIn("link: unreachable: ", daemon.log)

    def test_a_round_is_one_event_however_many_addresses_it_has(self):
        port = self.closed_port()
        self.names(many=(0, *[f"127.1.0.{i}" for i in range(1, 25)]))
        daemon = self.named(f"many:{port}", "ReconnectDelay=1min\nReconnectDelayMax=1min\n")
        self.told(daemon)
        self.assertEqual(
            [e["state"] for e in self.link_events(daemon)], ["resolving", "connecting", "waiting"]
        )
        self.assertRegex(
            daemon.ctl("metrics")[1], 'connect_failures_total{[^}]*cause="refused"} 24\n'
        )

    def test_an_address_with_a_zero_before_a_number_fails_and_another_is_used(self):
        upstream = self.upstream()
        daemon = self.named(f"127.000.000.001:{upstream.port} {upstream.address}")
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual((status["lastCause"], status["address"]), ("resolve", upstream.address))
        self.assertIn("octal", status["lastError"])
        daemon.wait_log("Address: \"127.000.000.001\" has a zero before a number")

    def test_a_port_that_has_no_such_name_fails_and_another_address_is_used(self):
        upstream = self.upstream()
        daemon = self.named(f"127.0.0.1:no-such-port {upstream.address}")
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual((status["lastCause"], status["address"]), ("resolve", upstream.address))
        self.assertIn("services(5)", status["lastError"])
        daemon.wait_log("Address: there is no TCP port of the name \"no-such-port\"")


class Source(NamesTest):
    KEYS = QUICK + "SourceAddress=127.0.0.1\n"

    def test_addresses_of_the_other_family_are_not_tried(self):
        upstream = self.upstream()
        self.names(feed=(0, "::1", "127.0.0.1"))
        daemon = self.named(f"feed:{upstream.port}", self.KEYS)
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual((status["peer"], status["lastCause"]), (upstream.address, "none"))

    def test_where_none_is_left_the_reason_says_so(self):
        self.names(feed=(0, "::1", "::2"))
        daemon = self.named("feed:4000", self.KEYS)
        daemon.wait_log("link: local: feed:4000 has no IPv4 address, as SourceAddress=127.0.0.1 needs")
        daemon = self.named("127.0.0.1:4000", QUICK + "SourceAddress=::1\n")
        daemon.wait_log("link: local: 127.0.0.1:4000 has no IPv6 address, as SourceAddress=::1 needs")

    def test_a_link_local_source_without_its_interface_is_told(self):
        daemon = self.named("[::1]:4000", QUICK + "SourceAddress=fe80::1%none7\n")
        daemon.wait_log("not from SourceAddress=fe80::1%none7: No such device .*network interface")

    def test_an_address_at_an_interface_that_is_not_there_is_told(self):
        daemon = self.named("[fe80::1%none7]:4000")
        daemon.wait_log(r"link: resolve: resolving \[fe80::1%none7\]:4000: this host has no network "
                        "interface of the name behind %")


if __name__ == "__main__":
    harness.main()

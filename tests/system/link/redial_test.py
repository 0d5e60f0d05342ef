# SPDX-License-Identifier: MIT
"""From one connection to the next: addresses in their order, delays, what the log says of it."""
import ctypes
import os
import socket
import subprocess
import tempfile
import time
import unittest

import harness
from cable import Cable

# What a busy machine may add to a delay.
SLACK = 0.5 * harness.SLOW


def closed_port(test):
    """The address of a port that refuses: bound, so that nobody else gets it, and not listening."""
    sock = socket.socket(socket.AF_INET)
    test.addCleanup(sock.close)
    sock.bind(("127.0.0.1", 0))
    return f"127.0.0.1:{sock.getsockname()[1]}"


def upstream_section(*addresses, **keys):
    lines = [f"Address={address}" for address in addresses]
    return "\n".join(["[Upstream]", *lines, *(f"{k}={v}" for k, v in keys.items())]) + "\n"


def speak_and_close(upstream):
    """A peer that lives, since it says a byte, and closes at once."""
    session = upstream.accept()
    session.send(b"")
    session.close()


class Hosts:
    """A mount namespace with an /etc/hosts of its own, to start a daemon within."""

    CLONE_NEWNS = 0x20000

    def __init__(self, text):
        self.text = text
        self.libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self):
        self.directory = os.getcwd()
        self.before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
        if self.libc.unshare(self.CLONE_NEWNS):
            os.close(self.before)
            raise unittest.SkipTest("a mount namespace of its own needs root")
        with tempfile.NamedTemporaryFile("w", suffix=".hosts") as file:
            file.write(self.text)
            file.flush()
            for command in (
                ["mount", "--make-rprivate", "/"],
                ["mount", "--bind", file.name, "/etc/hosts"],
            ):
                subprocess.run(command, check=True)
        return self

    def __exit__(self, *_):
        self.libc.setns(self.before, self.CLONE_NEWNS)
        os.close(self.before)
        os.chdir(self.directory)


class Addresses(harness.SystemTest):
    @harness.in_time
    def test_when_the_first_address_refuses_the_second_is_tried_at_once(self):
        upstream = self.upstream()
        start = time.monotonic()
        daemon = self.daemon(
            upstream_section(closed_port(self), upstream.address, ReconnectDelay="20s")
        )
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertLess(time.monotonic() - start, 9)
        self.assertEqual((status["address"], status["peer"]), (upstream.address, upstream.address))
        self.assertEqual(status["lastCause"], "refused")
        self.assertIn("Connection refused", status["lastError"])
        self.assertEqual(status["disconnects"], 0)

    def test_every_address_of_a_name_is_tried(self):
        hosts = Hosts("127.0.0.1 localhost twins\n127.0.0.2 twins\n127.0.0.3 twins\n")
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            upstream = self.upstream(host=host)
            daemon = self.daemon(
                upstream_section(f"twins:{upstream.port}", ReconnectDelay="20s"), within=hosts
            )
            upstream.accept()
            status = daemon.wait_state("up")["upstream"]
            self.assertEqual(status["address"], f"twins:{upstream.port}")
            self.assertEqual(status["peer"], upstream.address)

    def test_a_name_may_have_addresses_of_both_kinds(self):
        hosts = Hosts("127.0.0.1 localhost twins\n::1 twins\n")
        try:
            upstreams = [self.upstream(host=host) for host in ("127.0.0.1", "::1")]
        except OSError:
            self.skipTest("there is no IPv6 here")
        for upstream in upstreams:
            daemon = self.daemon(
                upstream_section(f"twins:{upstream.port}", ReconnectDelay="20s"), within=hosts
            )
            upstream.accept()
            status = daemon.wait_state("up")["upstream"]
            self.assertEqual(status["peer"], upstream.address)

    @harness.in_time
    def test_an_address_that_does_not_answer_costs_its_timeout_and_no_more(self):
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):  # the backlog is full: further SYNs are dropped
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        upstream = self.upstream()
        daemon = self.daemon(
            upstream_section(
                address, upstream.address, ConnectTimeout="1s", ReconnectDelay="20s"
            )
        )
        status = daemon.wait_state("connecting")["upstream"]
        self.assertEqual(status["address"], address)
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual(status["lastCause"], "timeout")
        self.assertIn(address, status["lastError"])
        self.assertIn("ConnectTimeout=", status["lastError"])

    def test_after_an_unstable_connection_the_next_address_has_its_turn(self):
        first, second = self.upstream(heartbeat=None), self.upstream(heartbeat=None)
        daemon = self.daemon(
            upstream_section(
                first.address, second.address, ReconnectDelay="50ms", StableTime="400ms"
            )
        )
        first.accept().close()
        session = second.accept()
        session.close()
        session = first.accept()
        session.reset()
        session = second.accept().heartbeat(0.1)
        daemon.wait_status(  # longer than StableTime= and the delay it paid
            lambda s: s["upstream"]["state"] == "up" and s["upstream"]["stateUsec"] > 800000,
            "a stable connection",
        )
        session.close()
        first.accept()

    def test_a_connection_that_was_stable_is_tried_again_first(self):
        first, second = self.upstream(heartbeat=0.1), self.upstream()
        daemon = self.daemon(
            upstream_section(
                first.address, second.address, ReconnectDelay="50ms", StableTime="300ms"
            )
        )
        session = first.accept()
        daemon.wait_status(
            lambda s: s["upstream"]["state"] == "up" and s["upstream"]["stateUsec"] > 400000,
            "a stable connection",
        )
        session.close()
        first.accept()
        second.listener.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            second.listener.accept()

    def test_a_name_that_nobody_knows_is_told_and_another_address_is_used(self):
        upstream = self.upstream()
        daemon = self.daemon(
            upstream_section("no-such-host.invalid:7000", upstream.address),
            env={"RES_OPTIONS": "timeout:1 attempts:1"},
        )
        upstream.accept()
        status = daemon.wait_state("up")["upstream"]
        self.assertEqual(status["lastCause"], "resolve")
        self.assertRegex(status["lastError"], "^resolving no-such-host.invalid:7000: .+")
        daemon.wait_log("resolve: resolving no-such-host.invalid:7000: ")

    def test_the_source_address_is_bound(self):
        upstream = self.upstream()
        daemon = self.daemon(upstream_section(upstream.address, SourceAddress="127.0.0.2"))
        session = upstream.accept()
        self.assertEqual(session.sock.getpeername()[0], "127.0.0.2")
        daemon.wait_state("up")

    def test_a_source_address_that_is_not_ours_is_told(self):
        upstream = self.upstream()
        for source in ("192.0.2.77", "::1"):
            daemon = self.daemon(upstream_section(upstream.address, SourceAddress=source))
            status = daemon.wait_state("waiting")["upstream"]
            self.assertEqual(status["lastCause"], "local")
            self.assertIn(f"SourceAddress={source}", status["lastError"])

    def test_a_connection_to_oneself_is_closed(self):
        cable = Cable()
        self.addCleanup(cable.close)
        with cable.near, open(
            "/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii"
        ) as file:
            file.write("40000 40000")  # so that each attempt gets the port that it dials
        daemon = self.daemon(
            upstream_section("127.0.0.1:40000", ReconnectDelay="50ms"), within=cable.near
        )
        # Later attempts may fail in another way, as the port is in use for a while.
        daemon.wait_log("local: connected to itself at 127.0.0.1:40000")
        status = daemon.status()["upstream"]
        self.assertEqual((status["lastCause"], status["connects"]), ("local", 0))

    def test_an_answer_that_came_while_we_stood_still_is_in_time(self):
        cable = Cable()
        self.addCleanup(cable.close)
        with cable.far:
            upstream = self.upstream(host=cable.far.address)
        cable.pull()
        daemon = self.daemon(
            upstream_section(upstream.address, ConnectTimeout="2s"), within=cable.near
        )
        daemon.wait_state("connecting")
        daemon.freeze()
        cable.plug()
        session = upstream.accept()
        time.sleep(2.2)
        daemon.thaw()
        daemon.client().send(b"on the first connection")
        session.expect(b"on the first connection")
        status = daemon.status()["upstream"]
        self.assertEqual((status["connects"], status["disconnects"]), (1, 0))


def closed(session):
    session.close()


class Delays(harness.SystemTest):
    def gaps(self, upstream, *meets):
        """Seconds between the end of each connection and the next one; each meet() ends one."""
        gaps = []
        session = upstream.accept()
        for meet in meets:
            meet(session)
            ended = time.monotonic()
            session = upstream.accept()
            gaps.append(time.monotonic() - ended)
        return gaps

    def check(self, gaps, nominal):
        for gap, delay in zip(gaps, nominal):
            self.assertGreater(gap, 0.5 * delay - 0.01, (gaps, nominal))
            self.assertLess(gap, delay + SLACK, (gaps, nominal))

    NOMINAL = (0.1, 0.2, 0.4, 0.8, 0.8, 0.8)
    KEYS = {"ReconnectDelay": "100ms", "ReconnectDelayMax": "800ms"}

    @harness.in_time
    def test_the_dial_at_start_waits_for_nothing(self):
        upstream = self.upstream()
        start = time.monotonic()
        self.daemon(upstream_section(upstream.address, ReconnectDelay="20s"), wait=False)
        upstream.accept()
        self.assertLess(time.monotonic() - start, 9)

    @harness.in_time
    def test_accept_then_close_is_dialled_ever_more_slowly(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(upstream_section(upstream.address, **self.KEYS))
        self.check(self.gaps(upstream, *[closed] * 6), self.NOMINAL)
        status = daemon.status()["upstream"]
        self.assertEqual(status["lastCause"], "closed")
        self.assertIn("closed by the peer", status["lastError"])

    @harness.in_time
    def test_no_stable_time_and_no_timeout_still_make_no_tight_loop(self):
        upstream = self.upstream(heartbeat=None)
        self.daemon(
            upstream_section(upstream.address, StableTime=0, **self.KEYS)
            + "[Heartbeat]\nTimeout=0\n"
        )
        gaps = self.gaps(upstream, *[closed] * 4)
        self.assertGreater(sum(gaps[-2:]), 0.5 * (0.2 + 0.4) - 0.02, gaps)

    @harness.in_time
    def test_a_silent_peer_is_dialled_ever_more_slowly(self):
        upstream = self.upstream(heartbeat=None)
        self.daemon(
            upstream_section(upstream.address, StableTime=0, **self.KEYS)
            + "[Heartbeat]\nTimeout=150ms\n"
        )
        self.check(self.gaps(upstream, *[harness.Framed.expect_end] * 5), self.NOMINAL)

    @harness.in_time
    def test_a_connection_that_received_and_lasted_lets_the_delay_fall(self):
        upstream = self.upstream(heartbeat=None)
        self.daemon(upstream_section(upstream.address, StableTime="300ms", **self.KEYS))

        def lasting(session):
            session.heartbeat(0.1)
            time.sleep(1.2)  # longer than StableTime= and the delay that was paid
            session.close()

        gaps = self.gaps(upstream, *[closed] * 4, lasting, closed)
        self.check(gaps, (*self.NOMINAL[:4], *self.NOMINAL[:2]))


class Telling(harness.SystemTest):
    def test_a_failure_that_repeats_is_told_once_and_counted(self):
        upstream = self.upstream(heartbeat=0.1)
        upstream.refuse()
        daemon = self.daemon(
            upstream_section(
                upstream.address,
                ReconnectDelay="10ms",
                ReconnectDelayMax="20ms",
                StableTime="300ms",
            )
        )
        daemon.wait_log("Connection refused")
        time.sleep(0.5)
        status = daemon.wait_state(("waiting", "connecting"))
        self.assertEqual(daemon.log.count("Connection refused"), 1, daemon.log)
        self.assertEqual(status["health"], "warning")
        self.assertIn("Connection refused", status["reasons"][0]["text"])
        upstream.listen()
        upstream.accept()
        daemon.wait_log(r"up and stable: .*; \d+ failures before were not told one by one")
        self.assertEqual(daemon.log.count("link: up: "), 1, daemon.log)

    def test_a_peer_that_closes_each_connection_is_told_once_more_and_then_no_more(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(
            upstream_section(upstream.address, ReconnectDelay="10ms", ReconnectDelayMax="20ms")
        )
        for _ in range(10):
            speak_and_close(upstream)
        upstream.accept().send(b"")
        daemon.wait_state("up")
        told = [line for line in daemon.log.splitlines() if "link: up" in line or
                "closed by the peer" in line]
        self.assertEqual(["link: up" in line for line in told], [True, False, True, False], told)
        self.assertIn("when the link is stable", told[-1])  # what the log says last is true

    def test_two_addresses_that_fail_each_in_its_way_are_told_and_then_no_more(self):
        upstream = self.upstream(heartbeat=None)
        daemon = self.daemon(
            upstream_section(
                closed_port(self), upstream.address, ReconnectDelay="10ms", ReconnectDelayMax="20ms"
            )
        )
        for _ in range(10):
            speak_and_close(upstream)
        self.assertEqual(daemon.log.count("Connection refused"), 1, daemon.log)
        self.assertEqual(daemon.log.count("closed by the peer"), 2, daemon.log)
        self.assertEqual(daemon.log.count("link: up"), 2, daemon.log)


if __name__ == "__main__":
    harness.main()

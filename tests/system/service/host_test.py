# SPDX-License-Identifier: MIT
"""Errors of this host: a limit that is used up, or a rule that forbids.

Nothing spins, the limit is named, and all goes on when the limit is lifted.
"""
import errno
import os
import socket
import subprocess

import harness
from cable import Cable
from harness import until
from local import Wrapped, check_books, check_rests

QUICK = "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=200ms\n"

FIREWALL = """
table inet firewall {
        chain arriving {
                type filter hook input priority 0
                tcp dport 4001 reject with icmpv6 type admin-prohibited
        }
}
"""


class HostTest(harness.SystemTest):
    def setUp(self):
        super().setUp()
        library = self.preload("failing.c")
        self.file = os.path.join(os.path.dirname(library), "fails")
        self.env = {"LD_PRELOAD": library, "FTCPD_FAILS": self.file,
                    "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def refuse(self, call, error, *once):
        with open(self.file + ".new", "w", encoding="ascii") as file:
            file.write(" ".join([call, str(error), *once]))
        os.rename(self.file + ".new", self.file)

    def recover(self):
        os.unlink(self.file)


class Accept(HostTest):
    def connected(self):
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n", env=self.env)
        return daemon, upstream.accept()

    def check(self, error, words):
        daemon, session = self.connected()
        first = daemon.client()
        daemon.wait_clients(1)
        with harness.Varlink(daemon.control_path) as there:
            self.assertEqual(there.call("io.ftcpd.Health")["health"], "ok")
            self.refuse("accept", error)
            late, control = daemon.client(), socket.socket(socket.AF_UNIX)
            self.addCleanup(control.close)
            control.connect(daemon.control_path)
            late.send(b"late")
            daemon.wait_log(f"can't accept clients for now: .*{words}")
            check_rests(daemon)
            first.send(b"goes on")
            session.expect(b"goes on")
            told = [r["text"] for r in there.call("io.ftcpd.Health")["reasons"]]
            self.assertEqual(len(told), 2, told)
            self.assertRegex(told[0], f"clients can't be accepted at .*data: .*{words}")
            self.assertRegex(told[1], f"control connections can't be accepted at .*: .*{words}")
            self.recover()
            session.expect(b"late")
            until(lambda: there.call("io.ftcpd.Health")["health"] == "ok", "good health")
        daemon.wait_log("clients are accepted again")
        self.assertEqual(daemon.log.count("can't accept clients"), 2)  # one for each socket
        check_books(daemon.status())

    def test_that_a_rule_forbids(self):
        self.check(errno.EPERM, "Operation not permitted .*SELinux")

    def test_that_fails_for_a_reason_that_nobody_knows(self):
        self.check(errno.EPROTO, "Protocol error")

    def test_without_descriptors_in_the_whole_system(self):
        self.check(errno.ENFILE, "fs.file-max")

    def test_of_a_connection_that_ended_before_is_no_fault(self):
        for error in (errno.ECONNABORTED, errno.EINTR):
            daemon, session = self.connected()
            self.refuse("accept", error, "once")
            daemon.client().send(b"the next")
            session.expect(b"the next")
            self.assertNotIn("can't accept", daemon.log)

    def test_of_a_client_that_cannot_be_watched(self):
        daemon, session = self.connected()
        self.refuse("watch", errno.ENOSPC, "once")
        self.assertEqual(daemon.client().expect_end(), "closed")
        daemon.wait_log("a client was refused: .*fs.epoll.max_user_watches")
        daemon.client().send(b"the next")
        session.expect(b"the next")

    def test_by_the_peer_of_ftcpctl(self):
        peer = self.spawn([harness.program("ftcpctl"), "peer", "--listen", "127.0.0.1:0"],
                          env={**os.environ, **self.env}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
        port = int(peer.stdout.readline().rsplit(":", 1)[1])
        self.refuse("accept", errno.EPERM)
        with socket.create_connection(("127.0.0.1", port)):
            self.assertRegex(peer.stderr.readline(), "can't accept .*SELinux")
            check_rests(peer)
            self.recover()
            self.assertIn("opened", peer.stdout.readline())
        peer.stderr.close()
        peer.stdout.close()


class LinkTest(HostTest):
    HOST = "127.0.0.1"

    def check(self, call, error, words):
        """The link is down for this reason, which is this host's, and comes up afterwards."""
        upstream = self.upstream()
        self.refuse(call, error)
        daemon = self.daemon(f"{QUICK}Address={upstream.address.replace('127.0.0.1', self.HOST)}\n",
                             env=self.env)
        daemon.wait_log(f"local: .*{words}")
        status = daemon.wait_state("waiting")["upstream"]
        self.assertEqual(status["lastCause"], "local")
        self.assertRegex(status["lastError"], words)
        self.recover()
        daemon.client().send(b"it goes on")
        upstream.accept().expect(b"it goes on")
        daemon.wait_state("up")


class Link(LinkTest):
    def test_that_a_rule_forbids_to_connect(self):
        for error in (errno.EACCES, errno.EPERM):
            self.check("connect", error, "127.0.0.1:.*a rule of this host forbids it")

    def test_that_a_rule_forbids_to_make_a_socket_for(self):
        for error in (errno.EACCES, errno.EPERM):
            self.check("socket", error, "a rule of this host forbids it")

    def test_of_a_family_that_the_host_does_not_have(self):
        self.check("socket", errno.EAFNOSUPPORT, "RestrictAddressFamilies=")

    def test_without_descriptors(self):
        self.check("socket", errno.EMFILE, "LimitNOFILE=")
        self.check("socket", errno.ENFILE, "fs.file-max")

    def test_without_ports(self):
        self.check("connect", errno.EADDRNOTAVAIL, "net.ipv4.ip_local_port_range")

    def test_that_a_rule_forbids_to_send_to(self):
        upstream = self.upstream()
        daemon = self.daemon(f"{QUICK}Address={upstream.address}\n", env=self.env)
        session = upstream.accept()
        self.refuse("send", errno.EACCES)
        daemon.client().send(b"later")
        self.assertEqual(session.expect_end(), "reset")
        daemon.wait_log("local: .*a rule of this host forbids it")
        self.recover()
        until(lambda: b"later" in (upstream.accept().recv() or b""), "the message")
        check_books(daemon.status())


class LinkByName(LinkTest):
    """With a thread that asks for the name."""

    HOST = "localhost"

    def test_without_threads(self):
        self.check("thread", errno.EAGAIN, "resolving localhost:.*TasksMax=, LimitNPROC=")


class RealHost(harness.SystemTest):
    """What the kernel says of itself."""

    def setUp(self):
        super().setUp()
        self.cable = Cable()
        self.addCleanup(self.cable.close)

    def check(self, address, words):
        daemon = self.daemon(f"{QUICK}Address={address}\n", within=self.cable.near)
        daemon.wait_log("local: connecting to ")
        status = daemon.wait_state("waiting")["upstream"]
        self.assertEqual(status["lastCause"], "local")
        self.assertRegex(status["lastError"], words)
        return daemon

    def test_a_prohibit_route(self):
        with self.cable.far:
            upstream = self.upstream(host=self.cable.far.address)
        route = ("prohibit", f"{self.cable.far.address}/32")
        self.cable.near.run("ip", "route", "add", *route)
        daemon = self.check(upstream.address, "Permission denied .*a prohibit route")
        self.cable.near.run("ip", "route", "delete", *route)
        upstream.accept()
        daemon.wait_state("up")

    def test_a_blackhole_route(self):
        with self.cable.far:
            upstream = self.upstream(host=self.cable.far.address)
        route = ("blackhole", f"{self.cable.far.address}/32")
        self.cable.near.run("ip", "route", "add", *route)
        daemon = self.check(upstream.address, "Invalid argument .*a blackhole route")
        self.cable.near.run("ip", "route", "delete", *route)
        upstream.accept()
        daemon.wait_state("up")

    def test_a_link_local_address_without_its_interface(self):
        words = "Invalid argument .*link-local address needs its network interface"
        self.check("[fe80::2]:4001", words).stop()
        self.check("[2001:db8::2]:4001\nSourceAddress=fe80::2", words)

    def test_a_loopback_source_of_an_address_elsewhere(self):
        source = f"{self.cable.far.address}:4001\nSourceAddress=127.0.0.1"
        self.check(source, "Invalid argument .*SourceAddress= is a loopback address")

    def test_all_ports_are_in_use(self):
        with self.cable.far:
            upstream = self.upstream(host=self.cable.far.address)
        with self.cable.near:
            with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
                file.write("40000 40000")
            host, port = upstream.address.rsplit(":", 1)
            other = socket.create_connection((host, int(port)))
        self.addCleanup(other.close)
        taken = upstream.accept()
        words = "no local port is free .*net.ipv4.ip_local_port_range"
        self.check(upstream.address, words).stop()  # it would take the only port
        source = f"{upstream.address}\nSourceAddress={self.cable.near.address}"
        daemon = self.check(source, words)
        taken.reset()  # the port is free at once
        other.close()
        upstream.accept()
        daemon.wait_state("up")

    def test_a_host_without_ipv6_is_not_short_of_ports(self):
        with self.cable.near, open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w",
                                   encoding="ascii") as file:
            file.write("1")
        self.check("[::1]:4001", "no address to reach it from")

    def test_a_firewall_on_the_way_is_not_this_host(self):
        """ICMPv6 "administratively prohibited" is the same errno, and comes later."""
        for end, address in ((self.cable.near, "2001:db8::1"), (self.cable.far, "2001:db8::2")):
            end.run("ip", "address", "add", f"{address}/64", "dev", "cable", "nodad")
        self.cable.far.run("nft", FIREWALL)
        daemon = self.daemon(f"{QUICK}Address=[2001:db8::2]:4001\n", within=self.cable.near)
        daemon.wait_log("unreachable: connecting to .*Permission denied .a firewall forbids it")


class Start(harness.SystemTest):
    def test_with_too_few_descriptors_names_the_limit(self):
        """The fewer there are, the earlier the start ends; the words are never others."""
        for most in range(7, 30):
            with Wrapped(self, f'#!/bin/sh\nulimit -n {most}\nexec {{ftcpd}} "$@"\n'):
                daemon = self.daemon("[Upstream]\nAddress=127.0.0.1:9\n", wait=False)
            until(lambda: daemon.process.poll() is not None or "link: " in daemon.log, "a verdict")
            if daemon.process.poll() is None:
                self.assertGreater(most, 7)
                return
            self.assertEqual(daemon.process.returncode, 1)
            self.assertIn("Too many open files (see LimitNOFILE=)", daemon.log)
        self.fail("it never starts")


if __name__ == "__main__":
    harness.main()

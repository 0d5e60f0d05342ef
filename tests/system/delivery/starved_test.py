# SPDX-License-Identifier: MIT
"""Each allocation of a running daemon that an operator, a client or the peer can reach fails once,
and all from there on: the daemon lives, and only who asked for the memory pays."""
import contextlib
import mmap
import os
import signal
import struct

import harness
from harness import often, stamp, until
from local import check_books

CONFIG = "[Heartbeat]\nInterval=0\nTimeout=0\n"
QUICK = "ReconnectDelay=10ms\nReconnectDelayMax=10ms\n"
MOST = 3000  # allocations of one thing to do: a guard against a test that never ends
STRIDE = often(7, 1, "STARVED_STRIDE")  # every allocation in ./dev test --long
SIZE = 40  # struct starve: first, many, seen, failed, live
FOREVER = 2 ** 63


class Starvation:
    """An allocator that fails when told to, preloaded into ftcpd: see unit/lib/starve.h."""

    def __init__(self, library):
        path = os.path.join(os.path.dirname(library), "orders")
        with open(path, "w+b") as file:
            file.truncate(SIZE)
            self.orders = mmap.mmap(file.fileno(), SIZE)
        self.many = 0
        self.env = {"LD_PRELOAD": library, "FTCPD_TEST_STARVE": path}

    def _put(self, index, value):
        struct.pack_into("Q", self.orders, 8 * index, value)

    def begin(self, first, many=1):
        """The allocation `first` from now on fails, and `many` in all."""
        self.many = many
        self._put(2, 0)
        self._put(3, 0)
        self._put(1, many)
        self._put(0, first)

    def end(self):
        """How many have failed since begin()."""
        self._put(0, 0)
        return struct.unpack_from("Q", self.orders, 24)[0]

    @property
    def live(self):
        """Allocations that are not freed."""
        return struct.unpack_from("Q", self.orders, 32)[0]


def first_and_many():
    """Which allocation fails, and how many: those of a short run are spread over all."""
    for first in range(1, MOST):
        for many in (1, FOREVER):
            if first <= 3 or (first + (many > 1) * (STRIDE // 2)) % STRIDE == 0:
                yield first, many


class Starved(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.memory = Starvation(self.preload("starve.c"))
        self.up = self.upstream(heartbeat=None, skip=(b"",))
        self.config = f"[Upstream]\nAddress={self.up.address}\n{QUICK}{CONFIG}"
        self.served = self.daemon(self.config, env=self.memory.env)
        self.session = self.up.accept()
        self.served.wait_state("up")
        self.steady = self.served.client(skip={b""})
        self.served.wait_clients(1)
        self.count = 0

    def each(self, act, settle=None):
        """Does `act` while each allocation of it fails, until none is left that fails."""
        for first, many in first_and_many():
            self.memory.begin(first, many)
            try:
                act()
            finally:
                failed = self.memory.end()
            self.served.check_alive()
            if settle:
                settle()
            if not failed and many == 1:
                self.assertGreater(first, 1, "no allocation was counted")
                break
        self.goes_on()

    def goes_on(self):
        """A client that was there all the time is there, and has lost nothing."""
        self.count += 1
        self.steady.send(stamp(1, self.count))
        self.session.expect(stamp(1, self.count))
        self.session.send(stamp(2, self.count))
        self.steady.expect(stamp(2, self.count))
        check_books(self.served.status())

    def ask(self, method, **parameters):
        """Calls; returns the reply, a VarlinkError, or None where the connection was closed."""
        try:
            with harness.Varlink(self.served.control_path) as link:
                return link.call(method, **parameters)
        except harness.VarlinkError as error:
            return error
        except (OSError, AssertionError, ConnectionError):
            return None

    def delay(self):
        return next(s["value"] for s in self.served.call("GetConfig")["settings"]
                    if s["key"] == "StallTimeout")

    def test_a_reload_is_done_or_refused_whole(self):
        """Once, each of 70 failed allocations ended the daemon."""
        before, replies = None, []

        def reload():
            nonlocal before
            before = self.delay_now
            self.wanted = "20s" if before == "10s" else "10s"
            self.served.configure(f"{self.config}[Upstream]\nStallTimeout={self.wanted}\n")
            replies.append(self.ask("io.ftcpd.Reload"))

        def judge():
            reply, self.delay_now = replies[-1], self.delay()
            if isinstance(reply, harness.VarlinkError):
                self.assertEqual(reply.parameters, {"errors": ["Cannot allocate memory"]})
                self.assertEqual(self.delay_now, before)
            elif reply is not None:
                self.assertEqual(self.delay_now, self.wanted)
            else:
                self.assertIn(self.delay_now, (before, self.wanted))

        self.delay_now = self.delay()
        self.each(reload, judge)
        self.assertTrue(any(isinstance(reply, harness.VarlinkError) for reply in replies))
        self.assertEqual(self.ask("io.ftcpd.Reload"), {})

    def test_a_hangup_without_memory_changes_nothing_and_is_told(self):
        def hang_up():
            was = self.served.log.count("the configuration was")
            os.kill(self.served.pid, signal.SIGHUP)
            until(lambda: self.served.log.count("the configuration was") > was, "the reload")

        self.each(hang_up)
        self.served.wait_log("there is no memory for the new configuration")

    def test_each_method_is_answered_or_its_connection_closed(self):
        for method, parameters in (
                ("Status", {}), ("Health", {}), ("ListClients", {}), ("RecentEvents", {}),
                ("GetConfig", {}), ("GetMetrics", {}), ("GetLatency", {}),
                ("Hold", {"reason": "no memory", "forUsec": 10 ** 9}), ("Release", {}),
                ("SetLogLevel", {"level": "debug"}), ("SetLogLevel", {"level": "info"}),
                ("DropClient", {"id": 10 ** 9}), ("Flush", {"timeoutUsec": 0}), ("NoMethod", {})):
            whole = self.ask(f"io.ftcpd.{method}", **parameters)

            def act():
                reply = self.ask(f"io.ftcpd.{method}", **parameters)
                if reply is not None and not isinstance(reply, harness.VarlinkError):
                    self.assertEqual(set(reply), set(whole))
                    for name, value in reply.items():
                        if isinstance(value, list) and name not in ("events", "reasons"):
                            self.assertEqual(len(value), len(whole[name]), method)

            with self.subTest(method):
                if method == "Hold":
                    self.each_method(act)
                    continue
                if method == "Release":
                    self.ask("io.ftcpd.Release")
                    self.session = self.up.accept()
                    self.served.wait_state("up")
                self.each(act)

    def each_method(self, act):
        """As each(), while the link is held."""
        for first, many in first_and_many():
            self.memory.begin(first, many)
            act()
            if not self.memory.end() and many == 1:
                break
            self.served.check_alive()

    def test_programs_that_watch_are_served_or_closed(self):
        self.each(lambda: self.watch("Monitor", history=5))
        self.shown = []
        self.each(lambda: self.watch("Tap"), self.drain)

    def watch(self, method, **parameters):
        with contextlib.suppress(OSError):
            with harness.Varlink(self.served.control_path) as link:
                link.send({"method": f"io.ftcpd.{method}", "parameters": parameters, "more": True})
                if method != "Tap":
                    link.recv()
                    return
                link.sock.settimeout(0.05)
                for _ in range(3):  # the Tap may come to the daemon behind the message
                    self.show()
                    with contextlib.suppress(TimeoutError):
                        link.recv()
                        return

    def show(self):
        self.count += 1
        self.shown.append(stamp(3, self.count))
        self.session.send(self.shown[-1])

    def drain(self):
        """The steady client takes what was sent while a Tap was there."""
        self.steady.expect(*self.shown)
        self.shown = []

    def test_clients_come_and_go(self):
        """A client that there is no memory for is turned away; one that is served gets all."""
        def come():
            with contextlib.suppress(OSError, AssertionError, ConnectionError):
                client = self.served.client(skip={b""})
                client.send(b"x" * 200000, b"short")
                client.close()

        def settle():
            self.served.wait_clients(1)
            self.swallow()
            check_books(self.served.status())

        self.each(come, settle)

    def swallow(self):
        """The upstream reads what the clients sent, up to a mark of the steady client."""
        self.count += 1
        self.steady.send(stamp(4, self.count))
        while self.session.recv() != stamp(4, self.count):
            pass

    def test_messages_take_no_allocation(self):
        """Neither small nor large ones: the memory for them is the store's."""
        large = os.urandom(1 << 20)
        for first in (1, 2):
            self.memory.begin(first, FOREVER)
            for message in (b"short", large):
                self.session.send(message)
                self.steady.send(message)
                self.steady.expect(message)
                self.session.expect(message)
            self.assertEqual(self.memory.end(), 0)
        self.goes_on()

    def test_the_link_comes_again(self):
        def lose():
            self.session.close()
            self.session = None
            with contextlib.suppress(AssertionError):  # it is tried again until there is memory
                self.session = self.up.accept(0.05 if self.memory.many > 1 else harness.DEADLINE)

        def settle():
            self.session = self.session or self.up.accept()
            self.served.wait_state("up")

        self.each(lose, settle)

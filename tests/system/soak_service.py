# SPDX-License-Identifier: MIT
"""Restarts, crashes and reloads under a real systemd for longer, and one table at the end.

    python3 tests/system/soak_service.py [--restarts N] [--kills N] [--reloads N] [--clients N]
                                         [--suite NAME] [--over veth | loopback]

./dev soak runs it. Half of all is done over loopback, and half over a pair of veth devices, where
the kernel behaves otherwise. Four clients and the upstream send numbered messages as fast as they can; each
is checked. The pause is the longest time without a message, as the peer sees it, around each
interruption. FTCPD_TEST_SEED repeats a run's choices.
"""
import argparse
import os
import random
import resource
import statistics
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'lib'))

import harness  # noqa: E402
import nspawn  # noqa: E402
from storm import CONFIG, Storm  # noqa: E402

OPTIONS = None
ROWS = []


def heading():
    return f"{'':<26}{'over':<10}{'times':>7}{'lost':>6}{'clients':>9}{'dropped':>9}{'up':>10}{'down':>9}  pause"


def pauses(arrivals, windows):
    """For each window the longest time without an arrival that reaches into it."""
    longest, i = [], 0
    for begin, end in windows:
        while i + 1 < len(arrivals) and arrivals[i + 1] < begin:
            i += 1
        k, worst = i, 0
        while k + 1 < len(arrivals) and arrivals[k] < end:
            worst = max(worst, arrivals[k + 1] - arrivals[k])
            k += 1
        longest.append(worst)
    return longest


class Soak(Storm, nspawn.MachineTest):
    """For one way to the upstream; each does its part of what is asked for."""

    timeout = 3600

    @classmethod
    def setUpClass(cls):
        cls.suite = OPTIONS.suite
        super().setUpClass()

    def linked(self, *args, **options):
        """The session notes when each message came."""
        upstream, service, session = super().linked(*args, **options)
        self.arrivals, receive = [], session.recv

        def recv(timeout=None):
            message = receive(timeout)
            self.arrivals.append(time.monotonic())
            return message

        session.recv = recv
        return upstream, service, session

    def soak(self, name, times, interrupt):
        if not times:
            self.skipTest("not asked for")
        times = -(-times // len(OPTIONS.over))
        windows, number = [], harness.seed()
        print(f"{name}, over {self.over}: seed {number}", flush=True)

        def interrupted(service):
            begun = time.monotonic()
            interrupt(service)
            windows.append((begun, time.monotonic()))

        dropped = self.storm(random.Random(number), times, interrupted)
        upstream = self.daemons[0].status()["upstream"]
        longest = pauses(self.arrivals, windows)
        ROWS.append(
            f"{name:<26}{self.over:<10}{times:>7}{upstream['disconnects']:>6}{len(self.sent):>9}{dropped:>9}"
            f"{sum(self.sent):>10}{self.fed:>9}"
            f"  median {statistics.median(longest) * 1000:.0f} ms, worst {max(longest) * 1000:.0f} ms"
        )
        return dropped

    def test_1_restarts(self):
        dropped = self.soak("systemctl restart", OPTIONS.restarts, lambda s: s.restart())
        self.assertEqual(dropped, 0)

    def test_2_kills(self):
        self.soak("systemctl kill -s KILL", OPTIONS.kills, lambda s: s.kill())
        told = self.daemons[0].log.count("is disconnected:")
        print(f"the journal tells of {told} clients that were disconnected")

    def test_3_reloads(self):
        def reload(service):
            text = self.machine.read("/etc/ftcpd.conf")
            ages = {"MaxAge=1min": "MaxAge=2min", "MaxAge=2min": "MaxAge=1min"}
            age = next((a for a in ages if a in text), None)
            text = text.replace(age, ages[age]) if age else text + "\n[Health]\nMaxAge=1min\n"
            self.machine.write("/etc/ftcpd.conf", text)
            service.systemctl("reload")

        dropped = self.soak("systemctl reload", OPTIONS.reloads, reload)
        self.assertEqual(dropped, 0)

    def test_4_many_clients(self):
        count = OPTIONS.clients
        if not count:
            self.skipTest("not asked for")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        _, service, session = self.linked(f"{CONFIG}[Local]\nMaxClients={count}\n")
        clients = [service.client() for _ in range(count)]
        service.wait_clients(count)
        for name, interrupt in (("restart", service.restart), ("SIGKILL", service.kill)):
            begun = time.monotonic()
            interrupt()
            clients[0].send(b"first")
            session.expect(b"first")
            took = time.monotonic() - begun
            session.send(b"to all")
            for client in clients:
                client.expect(b"to all")
            status = service.status()
            self.assertEqual((status["clients"], status["upstream"]["disconnects"]), (count, 0))
            ROWS.append(f"{name + ' with many clients':<26}{self.over:<10}{1:>7}{0:>6}{count:>9}{0:>9}"
                        f"{1:>10}{count:>9}  {took * 1000:.0f} ms with systemctl's own time")


class OverLoopback(Soak):
    over = "loopback"


class OverVeth(Soak):
    over = "veth"


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--clients", type=int, default=10000)
    parser.add_argument("--over", action="append", choices=("veth", "loopback"))
    parser.add_argument("--suite", default="bookworm", choices=sorted(nspawn.PACKAGES))
    OPTIONS = parser.parse_args()
    OPTIONS.over = OPTIONS.over or ["loopback", "veth"]
    kinds = [kind for kind in (OverLoopback, OverVeth) if kind.over in OPTIONS.over]
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite(load(kind) for kind in kinds)
    result = unittest.TextTestRunner(verbosity=0).run(suite)
    print(f"systemd of {OPTIONS.suite}: interruptions, losses of the upstream, clients, messages")
    print(heading(), *ROWS, sep="\n")
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()

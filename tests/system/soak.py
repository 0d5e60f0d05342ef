# SPDX-License-Identifier: MIT
"""The fault machine for longer: every policy, then kills in many configurations, and a table each
at the end.

    python3 tests/system/soak.py [--cuts N] [--kills N] [--seed S] [--over veth | loopback]
                                 [--policy NAME] [--only FAULT] [--cell N]

./dev soak runs it. $FTCPD is the ftcpd to try, such as one that was built with sanitizers. The
upstream stands behind a pair of veth devices where network namespaces can be made, and the kernel
paces what is sent as one way of congestion control does after the other.
"""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'lib'))

import harness  # noqa: E402
from cells import cells, congestions  # noqa: E402
from faults import Faults, run  # noqa: E402
from faults_judge import Verdict  # noqa: E402
from faults_machine import Cell  # noqa: E402
from kills import Kills, prepared  # noqa: E402

# Resend=, and the way to the clients.
RUNS = (
    ("unacked", "broadcast"),
    ("unsent", "broadcast"),
    ("none", "broadcast"),
    ("unacked", "balance"),
    ("unacked", "drop"),
)
PER_CELL = 12  # kills


class Report:
    """What the runs came to, for people."""

    def __init__(self):
        self.rows, self.begun = [], time.monotonic()

    def add(self, machine, verdict):
        self.rows.append((machine, verdict))

    @property
    def good(self):
        return all(verdict.good for _, verdict in self.rows)

    def text(self, skip):
        columns = [machine.policy for machine, _ in self.rows]
        ways = [machine.way for machine, _ in self.rows]
        paths = [machine.path for machine, _ in self.rows]
        paces = [machine.cell.congestion or "-" for machine, _ in self.rows]
        rule = self.line("", ["-" * 9] * len(columns))
        lines = [self.line("Resend=", columns), self.line("to clients", ways),
                 self.line("over", paths), self.line("congestion control", paces), rule]
        for kind in Faults.kinds():
            values = [skip.get(kind) and "SKIP" or m.faults[kind] for m, _ in self.rows]
            lines.append(self.line(kind.replace("_", " "), values))
        lines.append(rule)
        lines += [self.line(*row) for row in self.sums()]
        lines += [f"SKIPPED {kind}: {why}" for kind, why in skip.items()]
        return "\n".join(lines)

    def sums(self):
        def column(value):
            return [value(machine, verdict) for machine, verdict in self.rows]

        yield "faults", column(lambda m, v: sum(m.faults.values()))
        yield "connections lost", column(lambda m, v: m.disconnects())
        yield "clients", column(lambda m, v: len(m.clients))
        yield "messages to the upstream", column(lambda m, v: v.up)
        yield "messages to clients", column(lambda m, v: v.down)
        yield "looks at the books", column(lambda m, v: m.watch.looks)
        yield "repeats, as allowed", column(lambda m, v: v.repeats)
        yield "given up (not_resent)", column(lambda m, v: m.given_up(m.watch.status))
        yield "of these not there", column(lambda m, v: v.missing)
        for kind in Verdict.KINDS:
            name = {"doubled": "doubled, not allowed", "books": "other faults"}.get(kind, kind)
            yield name, column(lambda m, v, kind=kind: v.counts[kind])

    @staticmethod
    def line(name, values):
        return f"{name:<26}" + "".join(f"{value:>10}" for value in values)


class KillsReport:
    """A line for each configuration that was killed: what it was, and what came of it."""

    HEAD = (f"{'frame':<22}{'Resend=':<8}{'to clients':<20}{'clients':>8}{'body':>8} "
            f"{'':<14}{'over':<15}{'kills':>6}{'lost':>6}{'ended':>6}{'up':>8}{'down':>8}  wrong")

    def __init__(self):
        self.rows = []

    def add(self, machine, verdict):
        self.rows.append((machine, verdict))

    @property
    def good(self):
        return all(verdict.good for _, verdict in self.rows)

    @staticmethod
    def line(machine, verdict):
        cell = machine.cell
        more = ",".join(name for name in ("hold", "answer") if getattr(cell, name))
        crowd = f"{cell.clients}, {cell.tcp} tcp" if cell.tcp else str(cell.clients)
        slow = machine.settings["Delivery"]["SlowClient"]
        path = f"{machine.path} {cell.congestion or ''}"
        ended = sum(c.record.cut_off and not c.record.ours for c in machine.clients)
        wrong = ", ".join(f"{count} {kind}" for kind, count in verdict.counts.items() if count)
        return (f"{cell.wire.name:<22}{cell.policy:<8}{cell.way + ', ' + slow:<20}{crowd:>8}"
                f"{cell.body:>8} {more:<14}{path:<15}{machine.kills:>6}{machine.disconnects():>6}"
                f"{ended:>6}{verdict.up:>8}{verdict.down:>8}  {wrong or '-'}")

    def text(self):
        sums = (sum(machine.kills for machine, _ in self.rows),
                sum(not verdict.good for _, verdict in self.rows))
        return "\n".join([self.HEAD, *(self.line(*row) for row in self.rows),
                          "%d kills, in %d configurations; wrong in %d" %
                          (sums[0], len(self.rows), sums[1])])


class Progress:
    """A line every few seconds."""

    def __init__(self, cuts, interval=10):
        self.cuts, self.interval, self.next = cuts, interval, time.monotonic() + interval

    def __call__(self, machine):
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + self.interval
        up = sum(client.record.whole for client in machine.clients)
        down = sum(len(client.record.got) for client in machine.clients)
        print(
            f"Resend={machine.policy}, {machine.way}: {machine.disconnects()} of {self.cuts} cuts, "
            f"{up} messages to the upstream, {down} to clients, {now - machine.begun:.0f} s",
            flush=True,
        )


def soak_cuts(options, seed, skip, cable):
    """The fault machine; returns whether all was well."""
    runs = [one for one in RUNS if not options.policy or one[0] in options.policy]
    each, report = -(-options.cuts // len(runs)), Report()
    skip = dict(skip)
    for kind in set(Faults.kinds()) - set(options.only or Faults.kinds()):
        skip.setdefault(kind, "not asked for")
    if options.over == "loopback":
        for kind in Faults.NEED_CABLE:
            skip.setdefault(kind, "not over loopback")
    paces = sorted(congestions())
    try:
        for number, (policy, way) in enumerate(runs):
            pace = paces[(number + len(seed)) % len(paces)] if cable and paces else None
            cell = Cell(policy, way, over=options.over, congestion=pace)
            report.add(*run(seed, cell, each, cable, skip, Progress(each)))
    finally:
        if report.rows:
            print(report.text(skip))
    return report.good


def soak_kills(options, seed, skip, cable):
    """The matrix; returns whether all was well."""
    count = options.cells or max(1, options.kills // PER_CELL)
    each, report = -(-options.kills // count), KillsReport()
    over = options.over if options.asked_over else None
    begun = time.monotonic()
    try:
        for number, cell in enumerate(cells(random.Random(seed), count, over)):
            if options.cell and number not in options.cell:
                continue
            machine, verdict = run(seed, cell, each, cable, dict(skip), kind=Kills)
            report.add(machine, verdict)
            print(f"{number}: {report.line(machine, verdict)}, {time.monotonic() - begun:.0f} s",
                  flush=True)
    finally:
        if report.rows:
            print(report.text())
    return report.good


def main():
    parser = argparse.ArgumentParser(description="The fault machine, for longer.")
    parser.add_argument("--cuts", type=int, default=1000, help="of all runs together")
    parser.add_argument("--kills", type=int, default=500, help="of all configurations together")
    parser.add_argument("--cells", type=int, help="how many configurations are killed")
    parser.add_argument("--cell", action="append", type=int, help="only the one of this number")
    parser.add_argument("--seed", default=None)
    parser.add_argument("--over", choices=("veth", "loopback"), help="how the upstream is reached")
    parser.add_argument("--policy", action="append", choices=("unacked", "unsent", "none"))
    parser.add_argument("--only", action="append", choices=Faults.kinds(), help="these faults")
    options = parser.parse_args()
    seed = options.seed or str(harness.seed())
    options.asked_over, options.over = bool(options.over), options.over or "veth"
    print(f"seed {seed}, {harness.program('ftcpd')}", flush=True)
    begun, good = time.monotonic(), True
    with prepared() as (cable, skip):
        for kind, why in skip.items():
            print(f"SKIPPED {kind}: {why}")
        if options.cuts:
            good = soak_cuts(options, seed, skip, cable)
        if options.kills:
            good = soak_kills(options, seed, skip, cable) and good
    print(f"seed {seed}, {time.monotonic() - begun:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

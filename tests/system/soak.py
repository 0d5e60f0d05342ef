# SPDX-License-Identifier: MIT
"""The fault machine for longer: every policy, and one table at the end.

    python3 tests/system/soak.py [--cuts N] [--seed S] [--policy NAME] [--only FAULT]

./dev soak runs it. $FTCPD is the ftcpd to try, such as one that was built with sanitizers.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'lib'))

import harness  # noqa: E402
from faults import Faults, lay_cable, run  # noqa: E402
from faults_judge import Verdict  # noqa: E402
from faults_machine import Cell  # noqa: E402

# Resend=, and the way to the clients.
RUNS = (
    ("unacked", "broadcast"),
    ("unsent", "broadcast"),
    ("none", "broadcast"),
    ("unacked", "balance"),
    ("unacked", "drop"),
)


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
        rule = self.line("", ["-" * 9] * len(columns))
        lines = [self.line("Resend=", columns), self.line("to clients", ways), rule]
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


def main():
    parser = argparse.ArgumentParser(description="The fault machine, for longer.")
    parser.add_argument("--cuts", type=int, default=1000, help="of all runs together")
    parser.add_argument("--seed", default=None)
    parser.add_argument("--policy", action="append", choices=("unacked", "unsent", "none"))
    parser.add_argument("--only", action="append", choices=Faults.kinds(), help="these faults")
    options = parser.parse_args()
    runs = [one for one in RUNS if not options.policy or one[0] in options.policy]
    seed = options.seed or str(harness.seed())
    each = -(-options.cuts // len(runs))
    print(f"seed {seed}, {harness.program('ftcpd')}", flush=True)
    cable, skip = lay_cable()
    for kind, why in skip.items():
        print(f"SKIPPED {kind}: {why}")
    if options.only:
        for kind in set(Faults.kinds()) - set(options.only):
            skip.setdefault(kind, "not asked for")
    report = Report()
    try:
        for policy, way in runs:
            report.add(*run(seed, Cell(policy, way), each, cable, skip, Progress(each)))
    finally:
        if cable:
            cable.close()
        if report.rows:
            print(report.text(skip))
        print(f"seed {seed}, {time.monotonic() - report.begun:.0f} s")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())

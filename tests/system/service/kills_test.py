# SPDX-License-Identifier: MIT
"""The delivery promises while ftcpd is killed again and again, in some cells of the matrix of
lib/cells.py (./dev soak: in hundreds). FTCPD_TEST_SEED repeats a run."""
import random
import unittest

import harness
from cells import cells
from faults import run
from kills import Kills, prepared
from soak import KillsReport

CELLS = harness.often(6, 64, "FTCPD_TEST_CELLS")
KILLS = harness.often(4, 12, "FTCPD_TEST_KILLS")


class UnderKills(unittest.TestCase):
    timeout = 600

    def test_no_kill_loses_doubles_tears_or_reorders_anything_whatever_is_configured(self):
        seed, report = harness.seed(), KillsReport()
        print(f"seed {seed}")
        with prepared() as (cable, skip):
            for cell in cells(random.Random(str(seed)), CELLS):
                with self.subTest(cell):
                    machine, verdict = run(seed, cell, KILLS, cable, dict(skip), kind=Kills)
                    report.add(machine, verdict)
                    self.assertTrue(verdict.good, "\n".join(verdict.words))
        print(report.text())


if __name__ == "__main__":
    harness.main()

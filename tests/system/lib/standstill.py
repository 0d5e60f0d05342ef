# SPDX-License-Identifier: MIT
"""Tests that judge time, on machines that stand still now and then.

Some promises are about time: within a second, not before 300 ms. A test of such a promise needs a
machine that lets both it and the daemon run. Where it fails and they were not let run for a
noticeable while, it proves nothing and is done again:

    @harness.in_time
    def test_a_silent_link_is_noticed_in_time(self):

./dev test runs these tests alone, after all others, which run two at a time (runner.py). Where nobody stood still, and after the last attempt, a failure is a failure.
"""
import os
import threading
import time

ATTEMPTS = 6
NOTICEABLE = 0.03
STEP = 0.01


def in_time(method):
    """Marks a test method that judges time."""
    method.attempts, method.timed = ATTEMPTS, True
    return method


def _waited(pid):
    """Seconds for which a process was ready and got no processor."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0


def _stolen():
    """Seconds for which the host of a virtual machine gave its processors to others."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = file.readline().split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else 0


class Standstill:
    """Watches, from a thread, from the beginning to the end of its block."""

    def __enter__(self):
        self._longest, self._stolen, self._done = 0, _stolen(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _run(self):
        before = time.monotonic()
        while not self._done.wait(STEP):
            now = time.monotonic()
            self._longest = max(self._longest, now - before - STEP)
            before = now

    def seconds(self, processes):
        """For how long at least one of us stood still; processes are those of the test."""
        waits = [_waited(process.pid) for process in processes if process.poll() is None]
        return max(self._longest, _stolen() - self._stolen, *waits, 0)

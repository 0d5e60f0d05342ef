# SPDX-License-Identifier: MIT
"""Runs erlang_peer.escript and twisted_peer.py, which share their words, and reads their lines."""
import os
import subprocess
import sys
import threading
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))


def python_with_twisted():
    """An interpreter that has Twisted: this one, or the system's."""
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-c", "import twisted"]
        if os.path.exists(python) and subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
            return python
    raise unittest.SkipTest("no Python with Twisted (Debian: python3-twisted)")


def command(kind):
    """The program of a kind: "erlang", "twisted" or "lines"."""
    if kind == "erlang":
        harness.need("escript")
        return ["escript", os.path.join(HERE, "erlang_peer.escript")]
    lines = ["--lines"] if kind == "lines" else []
    return [python_with_twisted(), os.path.join(HERE, "twisted_peer.py"), *lines]


class Peer:
    """One such program. sent and received are lists of (size, CRC-32), in order."""

    def __init__(self, test, kind, role, send, receive, biggest, path=None):
        self.name = f"{kind} {role}"
        self.sent, self.received, self.words, self._errors = [], [], {}, []
        self._changed = threading.Condition()
        arguments = [role, str(send), str(receive), str(biggest)] + ([path] if path else [])
        self.process = test.spawn(
            command(kind) + arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        test.addCleanup(self.process.stdin.close)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stdout as lines:
            for line in lines:
                word, *rest = line.split()
                with self._changed:
                    if word in ("sent", "received"):
                        getattr(self, word).append(tuple(int(number) for number in rest))
                    else:
                        self.words[word] = rest
                    self._changed.notify_all()
        with self._changed:
            self.words["ended"] = []
            self._changed.notify_all()

    def wait(self, word, timeout=None):
        """Until it printed this word; returns what followed it on the line."""
        with self._changed:
            self._changed.wait_for(
                lambda: word in self.words or "ended" in self.words,
                3 * harness.DEADLINE if timeout is None else timeout,  # an interpreter starts
            )
            if word not in self.words:
                raise AssertionError(
                    f"{self.name} did not say '{word}', but {self.words}; "
                    f"sent {len(self.sent)}, received {len(self.received)}"
                )
            return self.words[word]

    def address(self):
        return f"127.0.0.1:{self.wait('port')[0]}"

    def start(self):
        self.wait("connected")
        self.process.stdin.write("start\n")
        self.process.stdin.flush()

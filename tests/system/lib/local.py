# SPDX-License-Identifier: MIT
"""What the tests of the local side share: the books, and what ftcpd costs its host."""
import os
import socket
import tempfile
import threading
import time

from framed import DEADLINE, SLOW, Framed, until
from harness import program

# A thing that must not happen is given this long to happen.
MOMENT = 0.3 * SLOW

# A reason of health.
NOBODY_CHOSE = "messages were dropped within the last minute though nobody chose so"


def reasons(daemon):
    """Of its health, in words."""
    return [reason["text"] for reason in daemon.call("Health")["reasons"]]


def queue_of(daemon, direction="toClients"):
    return daemon.status()[direction]["queued"]


def dropped(status, direction, reason):
    """Messages that one direction's books give up for one reason."""
    for drop in status[direction]["dropped"]:
        if drop["reason"] == reason:
            return drop["messages"]
    return 0


def check_books(status):
    """accepted = delivered + dropped + queued, in both directions, in messages and in bytes."""
    for direction in ("toUpstream", "toClients"):
        books = status[direction]
        for unit in ("messages", "bytes"):
            rest = sum(drop[unit] for drop in books["dropped"])
            rest += books["delivered"][unit] + books["queued"][unit]
            if books["accepted"][unit] != rest:
                raise AssertionError(f"{direction} does not balance in {unit}: {books}")
    return status


def counters(status):
    """Everything that may only grow."""
    for direction in ("toUpstream", "toClients"):
        books = status[direction]
        for kind in ("accepted", "delivered"):
            for unit in ("messages", "bytes"):
                yield (direction, kind, unit), books[kind][unit]
        for drop in books["dropped"]:
            yield (direction, drop["reason"]), drop["messages"]
    for name in ("clientsAccepted", "clientsRefused"):
        yield (name,), status[name]
    for unit in ("messages", "bytes"):
        yield ("refused", unit), status["refused"][unit]


class BooksWatch:
    """Asks for Status all the time, from a thread, until the block ends: every reply must balance.

    looks says how many replies were checked.
    """

    def __init__(self, daemon, interval=0.005):
        self.daemon, self.interval = daemon, interval
        self.looks, self.fault, self._done = 0, None, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._done.set()
        self._thread.join(DEADLINE)
        if kind is None and self.fault:
            raise self.fault

    def _run(self):
        before = {}
        try:
            while not self._done.wait(self.interval):
                now = dict(counters(check_books(self.daemon.status())))
                for name, value in now.items():
                    if value < before.get(name, 0):
                        raise AssertionError(f"{name} fell from {before[name]} to {value}")
                before = now
                self.looks += 1
        except Exception as error:  # pylint: disable=broad-except
            self.fault = error


def cpu_seconds(pid):
    """Processor time that a process has used so far."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def check_rests(daemon, span=MOMENT):
    """Nothing happens, so it uses next to no processor time: a loop that spins uses it all."""
    begin, at = cpu_seconds(daemon.pid), time.monotonic()
    time.sleep(span)
    used, took = cpu_seconds(daemon.pid) - begin, time.monotonic() - at
    if used > 0.2 * took:
        raise AssertionError(f"it spins: {used:.3f} s of processor time in {took:.3f} s")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    """Bytes of memory in use, without and with what is shared (the store is)."""
    values = {}
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon", "RssShmem"):
                values[name] = int(value.split()[0]) * 1024
    return values["VmRSS"]


def memory_of(pid, kind):
    """Bytes of memory in use of a kind that /proc/PID/status tells."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(kind + ":"))


def private_memory(pid):
    """Bytes of memory in use that are not shared: without the store, where the messages are."""
    return memory_of(pid, "RssAnon")


def shared_memory(pid):
    """Bytes of memory in use of the store."""
    return memory_of(pid, "RssShmem")


def stays(condition, span=MOMENT):
    """Fails when the condition becomes false within a moment."""
    end = time.monotonic() + span
    while time.monotonic() < end:
        if not condition():
            raise AssertionError("it did not stay so")
        time.sleep(0.02)


def fill(framed, message, limit=1 << 30, full=lambda: True):
    """Sends the message again and again until the socket takes no more for a moment.

    That ftcpd only had no time to read is told by full(): until it is true, it is tried again.
    Returns how many were sent whole; the last may be half sent: its rest is returned too.
    """
    frame, sent = framed.frame.wrap(message), 0
    framed.sock.settimeout(MOMENT)
    try:
        while sent * len(frame) < limit:
            view = memoryview(frame)
            while view:
                try:
                    view = view[framed.sock.send(view):]
                except TimeoutError:
                    if not full():
                        continue
                    if len(view) == len(frame):
                        return sent, b""
                    return sent, bytes(view)
            sent += 1
    finally:
        framed.sock.settimeout(DEADLINE)
    return sent, b""


def wait_listed(daemon, condition, what):
    """The first client in ListClients that fulfils the condition."""

    def look():
        return next((c for c in daemon.call("ListClients")["clients"] if condition(c)), None)

    return until(look, what)


def connect_as(path, uid, gid, groups=()):
    """A client that another user has connected. It belongs to us from then on."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(path)
            socket.send_fds(theirs, [b"!"], [sock.fileno()])
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        os.waitpid(child, 0)
    if not fds:
        raise AssertionError(f"user {uid} could not connect to {path}")
    return Framed(socket.socket(fileno=fds[0]))


class Wrapped:
    """While it is entered, daemons are started by a script, in which {ftcpd} stands for ours."""

    def __init__(self, test, script):
        self.test, self.script, self.old = test, script, os.environ.get("FTCPD")

    def __enter__(self):
        handle, path = tempfile.mkstemp(prefix="ftcpd-test-")
        self.test.addCleanup(os.unlink, path)
        with os.fdopen(handle, "w") as file:
            file.write(self.script.replace("{ftcpd}", program("ftcpd")))
        os.chmod(path, 0o755)
        os.environ["FTCPD"] = path
        return self

    def __exit__(self, *_):
        del os.environ["FTCPD"]
        if self.old:
            os.environ["FTCPD"] = self.old


def in_threads(*functions):
    """Runs all at once; the first failure is raised."""
    faults = []

    def run(function):
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-except
            faults.append(error)

    threads = [threading.Thread(target=run, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Clients of the control socket that mean no good, as a program that goes on until it is killed.

    hostile.py ATTACK SOCKET [CONNECTIONS [UID]]

It prints a word when it has begun. One process, whose ATTACK may be of DOOR, too, and the nicest: what it costs others is to be what
it makes ftcpd do, not the processor that it takes from them itself.
"""
import ctypes
import os
import resource
import selectors
import signal
import socket
import sys
import threading

MIB = 1 << 20
PR_SET_PDEATHSIG = 1


def request(method, parameters="{}", flags=""):
    return b'{"method":"%s","parameters":%s%s}\0' % (
        method.encode(), parameters.encode(), flags.encode())


def filled(item, separator=","):
    """A request of a MiB at most, full of these."""
    head, tail = '{"what":[', "]}"
    room = MIB - 100 - len(head) - len(tail)
    return request("io.ftcpd.Health", head + separator.join([item] * (room // (len(item) + 1))) +
                   tail)


STATUS = request("io.ftcpd.Status")
LISTING = request("io.ftcpd.ListClients")

# What each connection sends, again and again, and whether it reads what it is told.
PAYLOADS = {
    "strings": (request("io.ftcpd.Health", '{"what":"%s"}' % ("s" * (MIB - 100))), True),
    "objects": (filled("{}"), True),
    "members": (filled('{"a":0}'), True),
    "numbers": (filled("1"), True),
    "broken": (filled("[]")[:-2] + b"?\0", True),
    "endless": (b"e" * MIB, True),
    "nested": (b'{"a":' * 100000 + b"\0", True),
    "pipelined": (STATUS * 100, True),
    "listing": (LISTING * 100, True),
    "unread": (STATUS * 100, False),
    "monitors": (request("io.ftcpd.Monitor", '{"history":256}', ',"more":true'), False),
}


class Connection:
    """Begins anew when it is closed."""

    def __init__(self, crowd, payload, reads):
        self.crowd, self.payload, self.reads = crowd, payload, reads
        self.sock, self.sent = None, 0
        self.connect()

    def connect(self):
        self.sock, self.sent = socket.socket(socket.AF_UNIX), 0
        self.sock.connect(self.crowd.path)
        self.sock.setblocking(False)
        events = selectors.EVENT_WRITE | (selectors.EVENT_READ if self.reads else 0)
        self.crowd.selector.register(self.sock, events, self)

    def turn(self, events):
        try:
            if events & selectors.EVENT_READ and not self.sock.recv(MIB):
                raise ConnectionResetError
            if events & selectors.EVENT_WRITE:
                self.sent += self.sock.send(self.payload[self.sent : self.sent + 256 * 1024])
                self.sent %= len(self.payload)
        except BlockingIOError:
            pass
        except OSError:
            self.crowd.selector.unregister(self.sock)
            self.sock.close()
            self.connect()


class Crowd:
    def __init__(self, path, count, payload, reads):
        self.path, self.selector = path, selectors.DefaultSelector()
        for _ in range(count):
            Connection(self, payload, reads)

    def run(self):
        while True:
            for key, events in self.selector.select():
                key.data.turn(events)


def churn(path):
    """Comes, asks, and is gone before the answer."""
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            try:
                sock.send(STATUS)
            except OSError:
                pass


def crowd(path, count):
    """Comes and stays, and comes again where it was sent away."""
    gone, selector = [None] * count, selectors.DefaultSelector()
    while True:
        for _ in gone:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            selector.register(sock, selectors.EVENT_READ)
        gone = [key.fileobj for key, _ in selector.select()]
        for sock in gone:
            selector.unregister(sock)
            sock.close()


def drip(path, count):
    """A byte at a time, from everybody."""
    socks = []
    for _ in range(count):
        socks.append(socket.socket(socket.AF_UNIX))
        socks[-1].connect(path)
    while True:
        for number, sock in enumerate(socks):
            try:
                sock.send(b" ")
            except OSError:
                sock.close()
                socks[number] = socket.socket(socket.AF_UNIX)
                socks[number].connect(path)


def flood(path, payload=b""):
    """Comes without an end and waits for nothing, with this in each socket; asks nothing."""
    held, limit = [], resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(path)
            if payload:
                sock.send(payload)
            held.append(sock)
        except OSError:
            sock.close()
        if len(held) >= min(limit, 4000):
            for sock in held[: len(held) // 4]:
                sock.close()
            del held[: len(held) // 4]


def queue_up(path, count):
    """So many threads that each wait to be let in, and keep what they got."""
    def wait():
        held = []
        while True:
            held.append(socket.socket(socket.AF_UNIX))
            try:
                held[-1].connect(path)
            except OSError:
                pass
            del held[:-20]

    for _ in range(count):
        threading.Thread(target=wait, daemon=True).start()
    signal.pause()


def spin(_path):
    """Takes the processor as flood() does, and leaves ftcpd alone: to compare with."""
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("")
        own.listen(1)
        flood(own.getsockname())


ATTACKS = [*PAYLOADS, "churn", "crowd", "drip"]
DOOR = {
    "spin": lambda path, count: spin(path),
    "flood": lambda path, count: flood(path),
    "fat": lambda path, count: flood(path, b"x" * 200_000),
    "queue": queue_up,
}


def become(uid):
    """Another user, who still ends with whoever started it: the kernel forgets that here."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main():
    name, path = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(19)
    if len(sys.argv) > 4:
        become(int(sys.argv[4]))
    print("begun", flush=True)
    if name == "churn":
        churn(path)
    elif name in DOOR:
        DOOR[name](path, count)
    elif name == "crowd":
        crowd(path, 40 * count)
    elif name == "drip":
        drip(path, count)
    else:
        Crowd(path, count, *PAYLOADS[name]).run()


if __name__ == "__main__":
    main()

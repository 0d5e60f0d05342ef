#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Twisted's own Int32StringReceiver, or with --lines LineReceiver (\\r\\n), as one end of ftcpd.

    twisted_peer.py [--lines] upstream SEND RECEIVE BIGGEST    listens on 127.0.0.1
    twisted_peer.py [--lines] client   SEND RECEIVE BIGGEST PATH

Prints "port N" (upstream) and "connected". A line on stdin starts it: it sends SEND messages of
random sizes up to BIGGEST and at the same time receives RECEIVE messages, and prints
"sent SIZE CRC32" and "received SIZE CRC32" for each, then "done". It goes when stdin ends.
"""
import random
import sys
import zlib

from twisted.internet import endpoints, error, protocol, reactor, stdio, task
from twisted.protocols import basic

LINES = "--lines" in sys.argv
ARGUMENTS = [argument for argument in sys.argv[1:] if argument != "--lines"]
SEND, RECEIVE, BIGGEST = (int(argument) for argument in ARGUMENTS[1:4])


def say(*words):
    print(*words, flush=True)


def random_size():
    kind = random.random()
    if kind < 0.1:
        return 0
    if kind < 0.2:
        return BIGGEST
    return random.randrange((64 if kind < 0.5 else BIGGEST) + 1)


def random_line(size):
    """Any bytes, lone \\r and \\n among them, but no \\r\\n."""
    if size and random.random() < 0.3:
        return bytes(random.choices(b"\r\nab", k=min(size, 200))).replace(b"\r\n", b"--")
    return random.randbytes(size).replace(b"\r\n", b"--")


class Exchange:
    """Both kinds of receiver: counts what came, and sends in turns of the reactor."""

    sent = received = 0
    started = False

    def connectionMade(self):
        super().connectionMade()
        say("connected")
        stdio.StandardIO(Starter(self))

    def start(self):
        self.started = True
        task.cooperate(self.messages()).whenDone().addErrback(fail)
        self.look()

    def messages(self):
        while self.sent < SEND:
            size = random_size()
            message = random_line(size) if LINES else random.randbytes(size)
            self.give(message)
            self.sent += 1
            say("sent", len(message), zlib.crc32(message))
            yield
        self.look()

    def taken(self, message):
        self.received += 1
        say("received", len(message), zlib.crc32(message))
        self.look()

    def look(self):
        if self.started and (self.sent, self.received) == (SEND, RECEIVE):
            say("done")

    def connectionLost(self, reason=protocol.connectionDone):
        say("lost", reason.getErrorMessage())


class Int32Exchange(Exchange, basic.Int32StringReceiver):
    MAX_LENGTH = 2 * BIGGEST + 1

    def give(self, message):
        self.sendString(message)

    def stringReceived(self, string):
        self.taken(string)

    def lengthLimitExceeded(self, length):
        say("length", length)
        super().lengthLimitExceeded(length)


class LineExchange(Exchange, basic.LineReceiver):
    delimiter = b"\r\n"
    MAX_LENGTH = 2 * BIGGEST + 1

    def give(self, message):
        self.sendLine(message)

    def lineReceived(self, line):
        self.taken(line)


class Starter(protocol.Protocol):
    """stdin: any bytes start the exchange, its end ends the program."""

    def __init__(self, exchange):
        self.exchange = exchange

    def dataReceived(self, data):
        self.exchange.start()

    def connectionLost(self, reason=protocol.connectionDone):
        stop()


def stop():
    try:
        reactor.stop()
    except error.ReactorNotRunning:
        pass


def fail(failure):
    failure.printTraceback(file=sys.stderr)
    stop()


def main():
    factory = protocol.Factory.forProtocol(LineExchange if LINES else Int32Exchange)
    if ARGUMENTS[0] == "upstream":
        endpoint = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        endpoint.listen(factory).addCallbacks(lambda port: say("port", port.getHost().port), fail)
    else:
        endpoint = endpoints.UNIXClientEndpoint(reactor, ARGUMENTS[4])
        endpoint.connect(factory).addErrback(fail)
    reactor.run(installSignalHandlers=False)


main()

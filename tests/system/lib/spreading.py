# SPDX-License-Identifier: MIT
"""The upstream's messages by number, and how far a daemon is with them."""
import socket

from framed import Framed
from harness import stamp, unstamp
from local import check_books


def numbered(first, last, size=0):
    """Messages with these numbers, each a frame of `size` bytes at least."""
    body = bytes(max(0, size - len(stamp(0, 0)) - 4))
    return [stamp(0, number, body) for number in range(first, last)]


def numbers_of(messages):
    return [unstamp(message)[1] for message in messages]


def wait_accepted(daemon, count, most=1 << 40):
    """Until so many messages are in the books of what goes to clients, and no queue is longer."""
    return check_books(
        daemon.wait_status(
            lambda s: s["toClients"]["accepted"]["messages"] == count
            and s["toClients"]["fullestBytes"] <= most, f"{count} messages"
        )
    )


def wait_received(daemon, count):
    return check_books(
        daemon.wait_status(
            lambda s: s["upstream"]["received"]["messages"] == count, f"{count} messages"
        )
    )


def wait_delivered(daemon, count):
    return check_books(
        daemon.wait_status(
            lambda s: s["toClients"]["delivered"]["messages"] == count, f"{count} delivered"
        )
    )


def deaf_client(path):
    """One that had shut down its reading side before it connected: nothing but a write tells."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.shutdown(socket.SHUT_RD)
    sock.connect(path)
    return Framed(sock)


def queued(status):
    return status["toClients"]["queued"]["messages"]

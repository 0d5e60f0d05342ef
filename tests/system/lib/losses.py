# SPDX-License-Identifier: MIT
"""Connections that are lost, and a link that is soon there again."""
import ctypes
import socket
import struct

QUICK = "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=100ms\nStableTime=0\n"
SO_ATTACH_FILTER = 26


def deafen(sock):
    """From now on the kernel drops what arrives for this socket: it acknowledges nothing more."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def cut(session):
    """Resets a connection; returns every whole message that its kernel had acknowledged."""
    deafen(session.sock)
    messages = []
    try:
        while True:
            messages.append(session.recv(timeout=0.1))
    except TimeoutError:
        session.reset()
    return messages

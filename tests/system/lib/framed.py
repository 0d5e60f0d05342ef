# SPDX-License-Identifier: MIT
"""Framed streams for tests: frames, sockets that speak them, a scripted upstream, known messages.

Everything that waits has a deadline and says what it waited for.
"""
import errno
import os
import random
import select
import socket
import struct
import threading
import time
import zlib

# Sanitizers and valgrind are slow: FTCPD_TEST_SLOW=5 makes every deadline five times as long.
# A deadline only says when to give up, so it may be long: a busy machine stands still for seconds.
SLOW = float(os.environ.get("FTCPD_TEST_SLOW", "1"))
DEADLINE = 30 * SLOW

CHUNK = 256 * 1024


def until(condition, what, timeout=None, interval=0.02):
    """Returns the first true value of condition(); fails when there is none within timeout."""
    end = time.monotonic() + (DEADLINE if timeout is None else timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(interval)


class Frame:
    """How a message stands on the wire: Frame() is ftcpd's default, a 32-bit big-endian length.

    A message leaves out its length field or delimiter; where offset is not 0 it is the whole frame.
    """

    def __init__(self, size=4, form="big", offset=0, adjust=0, delimiter=None):
        self.size, self.form, self.offset, self.adjust = size, form, offset, adjust
        self.delimiter = delimiter

    def config(self):
        """The [Frame] section that describes it to ftcpd."""
        if self.delimiter is not None:
            text = "".join(f"\\x{byte:02x}" for byte in self.delimiter)
            return f"[Frame]\nType=delimiter\nDelimiter={text}\n"
        return (
            f"[Frame]\nLengthSize={self.size}\nLengthFormat={self.form}\n"
            f"LengthOffset={self.offset}\nLengthAdjust={self.adjust}\n"
        )

    def length_field(self, length):
        """The bytes of a length field that says `length`, true or not."""
        if self.form in ("big", "little"):
            return length.to_bytes(self.size, self.form)
        return (b"%0*d" if self.form == "decimal" else b"%0*x") % (self.size, length)

    def _length(self, field):
        if self.form in ("big", "little"):
            return int.from_bytes(field, self.form)
        return int(field, 10 if self.form == "decimal" else 16)

    def wrap(self, message):
        """The frame of a message."""
        if self.delimiter is not None:
            return bytes(message) + self.delimiter
        if self.offset:
            return bytes(message)
        return self.length_field(len(message) - self.adjust) + bytes(message)

    def take(self, buffer):
        """Removes the next whole message from a bytearray; None if there is none yet."""
        if self.delimiter is not None:
            end = buffer.find(self.delimiter)
            if end < 0:
                return None
            message = bytes(buffer[:end])
            del buffer[: end + len(self.delimiter)]
            return message
        header = self.offset + self.size
        if len(buffer) < header:
            return None
        total = header + self._length(buffer[self.offset : header]) + self.adjust
        if len(buffer) < total:
            return None
        message = bytes(buffer[0 if self.offset else header : total])
        del buffer[:total]
        return message


class Framed:
    """A connected socket that sends and receives messages. Sending is safe from several threads.

    `skip` is a set of messages that recv() passes over, such as heartbeats; they are counted.
    """

    def __init__(self, sock, frame=None, skip=()):
        self.sock, self.frame, self.skip = sock, frame or Frame(), set(skip)
        self.skipped = 0
        self.buffer = bytearray()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        sock.settimeout(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *messages):
        self.send_raw(b"".join(self.frame.wrap(message) for message in messages))

    def send_raw(self, data):
        """Bytes as they are: half messages, broken lengths, noise. Fails when none are taken."""
        with self._lock:
            view = memoryview(data)
            while view:
                if not self._ready(select.POLLOUT, DEADLINE):
                    raise TimeoutError(f"no byte was taken in time, {len(view)} are left")
                view = view[self.sock.send(view) :]

    def _ready(self, event, timeout):
        """Whether the socket can be read or written within so many seconds.

        Its own timeout would be that of every thread which uses it.
        """
        poll = select.poll()
        if self.sock.fileno() < 0:
            raise OSError(errno.EBADF, "closed")
        poll.register(self.sock, event)
        return poll.poll(max(0, timeout) * 1000)

    def recv(self, timeout=None):
        """The next message, or None at the end of the stream; a reset is ConnectionResetError."""
        end = time.monotonic() + (DEADLINE if timeout is None else timeout)
        while True:
            message = self.frame.take(self.buffer)
            if message is not None:
                if message not in self.skip:
                    return message
                self.skipped += 1
                continue
            # What is there already counts, however late we look.
            if not self._ready(select.POLLIN, end - time.monotonic()):
                raise TimeoutError(f"no message in time; {len(self.buffer)} bytes of one are there")
            data = self.sock.recv(CHUNK)
            if not data:
                return None
            self.buffer += data

    def recv_n(self, count, timeout=None):
        """The next count messages; the end of the stream before them is a failure."""
        end = time.monotonic() + (DEADLINE if timeout is None else timeout)
        messages = []
        while len(messages) < count:
            message = self.recv(max(0.001, end - time.monotonic()))
            if message is None:
                raise AssertionError(f"the stream ended after {len(messages)} of {count} messages")
            messages.append(message)
        return messages

    def expect(self, *messages):
        """The next messages are these."""
        for number, wanted in enumerate(messages):
            got = self.recv()
            if got != wanted:
                raise AssertionError(f"message {number}: got {brief(got)}, not {brief(wanted)}")

    def expect_end(self, timeout=None):
        """The other side closes or resets, with no message before and no part of one.

        Returns "closed" or "reset".
        """
        try:
            message = self.recv(timeout)
        except (ConnectionResetError, BrokenPipeError):
            return "reset"
        if message is not None:
            raise AssertionError(f"expected the end of the stream, got {brief(message)}")
        if self.buffer:
            raise AssertionError(f"the stream ended within a message, after {len(self.buffer)} bytes")
        return "closed"

    def heartbeat(self, interval=0.5, message=b""):
        """Sends a message now and every interval from a thread of its own, until the socket is
        closed."""

        def beat():
            try:
                self.send(message)
                while not self._closed.wait(interval):
                    self.send(message)
            except OSError:
                pass

        threading.Thread(target=beat, daemon=True).start()
        return self

    def collect(self):
        """Receives in the background from now on: see Collector."""
        return Collector(self)

    def shut_write(self):
        self.sock.shutdown(socket.SHUT_WR)

    def shut_read(self):
        self.sock.shutdown(socket.SHUT_RD)

    def close(self):
        self._closed.set()
        self.sock.close()

    def reset(self):
        """Closes a TCP connection by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Collector:
    """Takes every message of a Framed in a thread, in order, until the stream ends.

    messages is the list so far; ended says how the stream ended, or None while it lives.
    """

    def __init__(self, framed):
        self.framed, self.messages, self.ended = framed, [], None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        ended = "closed"
        try:
            while True:
                try:
                    message = self.framed.recv(timeout=1)
                except TimeoutError:
                    continue
                if message is None:
                    break
                with self._changed:
                    self.messages.append(message)
                    self._changed.notify_all()
        except OSError as error:
            ended = error.strerror or str(error)
        with self._changed:
            self.ended = ended
            self._changed.notify_all()

    def wait(self, condition, what, timeout=None):
        """Until condition(messages) is true."""
        timeout = DEADLINE if timeout is None else timeout
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self.messages), timeout):
                raise AssertionError(
                    f"waited in vain for {what}; {len(self.messages)} messages, stream {self.ended}"
                )

    def wait_count(self, count, timeout=None):
        self.wait(lambda messages: len(messages) >= count, f"{count} messages", timeout)

    def wait_end(self, timeout=None):
        """Until the stream ended; returns how."""
        self.wait(lambda _: self.ended is not None, "the end of the stream", timeout)
        return self.ended


class Upstream:
    """A TCP listener that plays the upstream by script: accept(), then a Framed each.

    heartbeat is the interval at which every session sends the empty message by itself, None for
    a peer that is silent by nature. Received empty messages are skipped (and counted) unless
    skip=() is given.
    """

    def __init__(self, frame=None, host="127.0.0.1", port=0, heartbeat=0.5, skip=(b"",), backlog=16):
        self.frame, self.host, self.port = frame or Frame(), host, port
        self.heartbeat, self.skip, self.backlog = heartbeat, skip, backlog
        self.listener, self.sessions = None, []
        self.held = self._bound()  # no other test gets the port while connections are refused
        self.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def address(self):
        """As Address= takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def listen(self):
        """Listens; again on the same port after refuse()."""
        self.listener = self._bound()
        self.listener.listen(self.backlog)

    def _bound(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.host, self.port))
        self.port = made.getsockname()[1]
        return made

    def refuse(self):
        """From now on connections are refused; those that stand are left alone."""
        self.listener.close()

    def accept(self, timeout=None):
        """The next connection."""
        self.listener.settimeout(DEADLINE if timeout is None else timeout)
        try:
            sock, _ = self.listener.accept()
        except TimeoutError:
            raise AssertionError("waited in vain for ftcpd to connect") from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Framed(sock, self.frame, self.skip)
        self.sessions.append(session)
        if self.heartbeat:
            session.heartbeat(self.heartbeat)
        return session

    def close(self):
        self.listener.close()
        self.held.close()
        for session in self.sessions:
            session.close()


def unix_connect(path, frame=None, skip=(), timeout=None):
    """A Framed on a Unix socket. A full backlog says EAGAIN, and is asked again."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def connected():
        try:
            sock.connect(path)
            return True
        except BlockingIOError:
            return False

    try:
        until(connected, f"room in the backlog of {path}", timeout)
    except BaseException:
        sock.close()
        raise
    return Framed(sock, frame, skip)


def brief(message):
    """A message in words short enough for a failure."""
    if message is None:
        return "the end of the stream"
    head = message[:24].decode("latin-1").encode("unicode_escape").decode()
    return f"{len(message)} bytes '{head}{'...' if len(message) > 24 else ''}'"


def seed():
    """The seed of this run: FTCPD_TEST_SEED, or a new one. Print it where it is used."""
    return int(os.environ.get("FTCPD_TEST_SEED") or random.SystemRandom().randrange(1 << 32))


def random_size(rng, biggest):
    """From 0 to biggest: often none, tiny or the biggest, else spread over all magnitudes."""
    kind = rng.random()
    if kind < 0.1:
        return 0
    if kind < 0.15:
        return biggest
    if kind < 0.4:
        return rng.randrange(min(biggest, 64) + 1)
    return min(biggest, int(2 ** rng.uniform(0, biggest.bit_length())))


def random_messages(rng, count, biggest):
    """Messages of random sizes and bytes."""
    return [rng.randbytes(random_size(rng, biggest)) for _ in range(count)]


def digest(message):
    """What programs in other languages print for a message, too: its size and its CRC-32."""
    return (len(message), zlib.crc32(message))


STAMP = struct.Struct(">IQ")
STAMP_MIN = STAMP.size + 4


def stamp(sender, number, body=b""):
    """A message that proves itself: who sent it, its number, a body, a checksum over all."""
    text = STAMP.pack(sender, number) + body
    return text + struct.pack(">I", zlib.crc32(text))


def unstamp(message):
    """(sender, number) of a stamped message; a torn or altered one is a failure."""
    if len(message) < STAMP_MIN:
        raise AssertionError(f"not a stamped message: {brief(message)}")
    text = message[:-4]
    if struct.pack(">I", zlib.crc32(text)) != message[-4:]:
        raise AssertionError(f"a torn message: {brief(message)}")
    return STAMP.unpack_from(text)

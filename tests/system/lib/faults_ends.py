# SPDX-License-Identifier: MIT
"""The ends of the fault machine: connections of a scripted upstream, clients, and the watch.

All of them live in one thread and are driven by a Loop, so that a script decides at which byte
something happens. Each keeps a record for the judge (faults_judge.py).
"""
import fcntl
import json
import select
import socket
import struct
import termios
import time

import harness
from faults_judge import UPSTREAM, ClientRecord, ConnectionRecord
from framed import CHUNK, SLOW, STAMP_MIN
from losses import deafen
from local import check_books, counters
from wires import ANSWER, DEFAULT

BIGGEST = 1 << 20  # of what is stamped, now and then
BODY = 100_000  # the usual limit
BLOB = 2 << 20


class Form:
    """What the messages of a machine are like: their frames, and how big they are."""

    def __init__(self, wire=DEFAULT, body=BODY):
        """body: the biggest usual one, where the length field allows it."""
        self.wire, self.usual = wire, min(body, wire.most)
        self.rare = BIGGEST - STAMP_MIN if body == BODY and wire.most >= BIGGEST else 0
        # What declares more can only be a torn stream.
        self.limit = max(self.usual, self.rare, ANSWER)

    def take(self, buffer):
        return self.wire.take(buffer, self.limit)

# Who has not looked at its sockets for so long did not keep up.
OWN_STALL = 0.2 * SLOW


class Loop:
    """Polls the sockets of the ends that live. Knows its own stalls."""

    def __init__(self):
        self.ends, self.last, self.stalled_at = [], time.monotonic(), 0

    def add(self, end):
        self.ends.append(end)
        return end

    def turn(self, wait=0.005):
        """One round: everyone who can does a little."""
        poll, by_fd, now = select.poll(), {}, time.monotonic()
        if now - self.last > OWN_STALL:
            self.stalled_at = now
        self.ends = [end for end in self.ends if end.sock.fileno() >= 0]
        for end in self.ends:
            end.tick(now)
            events = (select.POLLIN if end.wants_read() else 0) | (
                select.POLLOUT if end.wants_write() else 0
            )
            if events:
                by_fd[end.sock.fileno()] = end
                poll.register(end.sock.fileno(), events)
        for fd, happened in poll.poll(wait * 1000):
            end = by_fd[fd]
            if happened & ~select.POLLOUT and end.sock.fileno() == fd and end.wants_read():
                end.on_readable()
            if happened & select.POLLOUT and end.sock.fileno() == fd:
                end.on_writable()
        self.last = now

    def kept_up(self):
        """No stall of our own of late?"""
        return time.monotonic() - self.stalled_at > 10 * OWN_STALL


class Writer:
    """Makes numbered messages and keeps the frame that is half written."""

    def __init__(self, rng, blob, sender, form):
        self.rng, self.blob, self.sender, self.form = rng, blob, sender, form
        self.biggest, self.next = form.usual, 0
        self.frame, self.rate, self.tokens, self.filled = b"", 0, 0, time.monotonic()
        self.whole = None  # what is told of the frame when it is written: its number and size
        self.drip = False  # writes small pieces now and then
        self.beats = 1  # heartbeats at once

    def make(self):
        size = harness.random_size(self.rng, self.biggest)
        if self.form.rare and self.biggest == BODY and self.rng.random() < 0.004:
            size = self.rng.randrange(BODY, self.form.rare)
        at = self.rng.randrange(max(1, BLOB - size))
        body = self.blob[at : at + size]
        body += self.blob[: size - len(body)]
        frame = self.form.wire.wrap(harness.stamp(self.sender, self.next, body))
        self.whole = (self.next, len(frame))
        self.next += 1
        return memoryview(frame)

    def beat(self):
        """A heartbeat, when no frame is half written."""
        if not self.frame:
            self.frame, self.whole = memoryview(self.form.wire.beat * self.beats), None

    def may(self, now):
        """Is it time for more? A frame that has begun is always finished."""
        self.tokens = min(self.tokens + (now - self.filled) * self.rate, max(self.rate / 10, 1))
        self.filled = now
        return bool(self.frame) or self.tokens > 0

    def write(self, sock, limit=CHUNK):
        """Writes some; returns how many bytes, and (number, size) of what became whole."""
        total, whole = 0, []
        while total < limit and (self.frame or self.tokens > 0):
            self.frame = self.frame or self.make()
            piece, cut = self.frame, self.drip and self.rng.random() < 0.5
            if cut:
                piece = piece[: self.rng.randrange(1, min(len(piece), 20_000) + 1)]
            try:
                sent = sock.send(piece)
            except BlockingIOError:
                break
            except OSError:
                if total:
                    break  # what went before is told first, this the next time
                raise
            self.frame = self.frame[sent:]
            total += sent
            self.tokens -= sent
            if not self.frame and self.whole:
                whole.append(self.whole)
            if cut or sent < len(piece):
                break
        return total, whole


class Stream:
    """A socket that receives stamped messages and may send some."""

    def __init__(self, sock, record, form):
        self.sock, self.record, self.form = sock, record, form
        self.buffer, self.writer = bytearray(), None
        self.reading, self.ended = True, None
        self.bytes_in = 0
        sock.setblocking(False)

    def tick(self, now):
        pass

    def wants_read(self):
        return self.reading and self.ended is None

    def wants_write(self):
        return self.writer is not None and self.ended is None and self.writer.may(time.monotonic())

    def on_readable(self, size=CHUNK):
        """Takes what is there; False when there was nothing, or the end."""
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError as error:
            self.end(error.strerror)
            return False
        if not data:
            self.end("closed")
            return False
        self.bytes_in += len(data)
        self.buffer += data
        if self.record.torn is None:
            self.parse()
        else:
            self.buffer.clear()
        return True

    def parse(self):
        try:
            while (message := self.form.take(self.buffer)) is not None:
                if message:
                    self.record.got.append(harness.unstamp(message))
        except AssertionError as error:
            self.record.torn = str(error)
            self.buffer.clear()

    def end(self, how):
        self.ended = how

    def close(self):
        self.ended = self.ended or "by us"
        self.sock.close()


class Connection(Stream):
    """One connection of the upstream.

    What its kernel acknowledged is what ftcpd may call delivered, whether a program reads it or
    not. So nothing is closed before it is read to the end, and between the last read and the
    close nothing more may be acknowledged: deafen() first, then read until there is nothing, then
    close. What arrives between is dropped without an acknowledgement, as if the cable had been
    pulled. Where ftcpd ends the connection, or the socket is destroyed under it, what the kernel
    had received stays readable behind the reset.
    """

    def __init__(self, sock, writer, beat):
        super().__init__(sock, ConnectionRecord(), writer.form)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.writer, self.beat, self.beaten = writer, beat, 0
        self.slow = 0  # bytes a read, 0: as many as there are
        self.sending = True  # heartbeats and messages
        self.most_unread = 0  # of what was transmitted: not read here, or half a message
        writer.frame = b""  # what the last connection had half written is lost

    def tick(self, now):
        if self.ended is None and self.sending and now - self.beaten >= self.beat:
            self.writer.beat()

    def wants_write(self):
        return self.sending and super().wants_write()

    def on_readable(self, size=CHUNK):
        return super().on_readable(self.slow or size)

    def on_writable(self):
        try:
            sent, whole = self.writer.write(self.sock)
        except OSError as error:
            self.on_write_error(error)
            return
        if sent:
            self.beaten = time.monotonic()
        self.record.sent += [number for number, _ in whole]

    def on_write_error(self, error):
        """It is over, but what had arrived is still to be read."""
        self.sending = False
        self.drain()
        self.end(self.ended or error.strerror)

    def drain(self):
        self.slow = 0
        while self.ended is None and self.on_readable():
            pass

    def tell(self):
        """Sends a byte or more, behind the last read: they carry the acknowledgement of all that
        was received, and ftcpd's kernel has it before it sees the end. From then on none of it
        may come again."""
        self.writer.beat()
        try:
            sent, whole = self.writer.write(self.sock, 1)
        except OSError:
            return
        self.record.sent += [number for number, _ in whole]
        # On a busy machine the end may overtake it: until it is acknowledged itself, nobody knows.
        late = time.monotonic() + 0.3
        while sent and self.unacknowledged() and time.monotonic() < late:
            time.sleep(0.005)
        self.record.told = sent > 0 and not self.unacknowledged()

    def unacknowledged(self):
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]

    def finish(self, reset=True, tell=False):
        """Ends it, having read all that was acknowledged."""
        if self.sock.fileno() < 0:
            return
        if self.ended is None:
            deafen(self.sock)
            self.drain()
            self.drain()
            if tell and self.ended is None:
                self.tell()
        window = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.most_unread = len(self.buffer) + window
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def half_close(self):
        """FIN behind the last whole message; it goes on reading."""
        self.sending = False
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.on_write_error(error)


class Client(Stream):
    """A local client, or one by TCP."""

    def __init__(self, sock, writer, ident, steady=False):
        super().__init__(sock, ClientRecord(ident, steady), writer.form)
        self.writer, self.steady, self.by_tcp = writer, steady, False
        self.until = None  # a guest stays that long
        self.writing, self.shut = True, False  # shut: it receives nothing
        self.whole_bytes = 0

    def wants_write(self):
        return self.writing and super().wants_write()

    def on_writable(self):
        try:
            _, whole = self.writer.write(self.sock)
        except OSError as error:
            while self.ended is None and self.on_readable():
                pass
            self.end(self.ended or error.strerror)
            return
        self.record.whole += len(whole)
        self.whole_bytes += sum(size for _, size in whole)

    def end(self, how):
        """Whatever the reason: it was not us."""
        super().end(how)
        self.record.cut_off = True
        self.sock.close()

    def kill(self):
        """Gone, wherever it was."""
        self.close()

    def vanish(self):
        """Gone, and nothing can be sent to it from now on: by TCP a FIN alone says that it sends no
        more, and what its kernel is sent behind that counts as delivered."""
        if self.by_tcp:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.kill()


class Watch:
    """Asks for Status all the time; every reply must balance, and nothing may fall. lost: the
    connection was closed."""

    def __init__(self, path, seen):
        self.path, self.seen = path, seen
        self.before, self.looks, self.status = {}, 0, None
        self.faults = []
        self.connect()

    def connect(self):
        """Anew after a crash: what the last process answered must not fall either."""
        self.sock = harness.Varlink(self.path).sock
        self.sock.setblocking(False)
        self.buffer, self.due, self.asked, self.lost = bytearray(), 0, False, False

    def tick(self, now):
        if self.lost or self.asked or now < self.due:
            return
        try:
            self.sock.send(b'{"method":"io.ftcpd.Status"}\0')
        except OSError:
            self.lost = True
        self.asked, self.due = True, now + 0.01

    def wants_read(self):
        return not self.lost

    def wants_write(self):
        return False

    def on_readable(self):
        try:
            data = self.sock.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self.lost = True
            return
        self.buffer += data
        if not self.buffer.endswith(b"\0"):
            return
        reply = json.loads(self.buffer[:-1])
        self.buffer.clear()
        self.asked = False
        self.look(reply["parameters"])

    def look(self, status):
        self.looks += 1
        self.status = status
        try:
            check_books(status)
        except AssertionError as error:
            self.faults.append(str(error))
        now = dict(counters(status))
        for name, value in now.items():
            if value < self.before.get(name, 0):
                self.faults.append(f"{name} fell from {self.before[name]} to {value}")
        self.before = now
        self.seen(status)


__all__ = ["UPSTREAM", "BLOB", "Client", "Connection", "Form", "Loop", "Watch", "Writer", "deafen"]

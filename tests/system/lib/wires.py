# SPDX-License-Identifier: MIT
"""How stamped messages stand in frames of every kind of [Frame]: one Wire each.

A stamped message proves itself, so that a frame cut at the wrong place is noticed whatever its
kind. Behind a delimiter it stands in hexadecimal digits, which contain no delimiter.
"""
from framed import STAMP_MIN, Frame

BIGGEST = 16 << 20  # of any body, where the length field allows it
ANSWER = 1000  # bytes of an answer to a heartbeat


class Wire:
    """One kind of frame. `most` is the biggest body of a stamped message, `beat` a heartbeat."""

    def __init__(self, name, frame=None, head=b""):
        """head: what stands before the length field, LengthOffset= bytes."""
        self.name, self.frame, self.head = name, frame or Frame(), head
        self.text = self.frame.delimiter is not None
        self.most = min(BIGGEST, self._most_payload() - STAMP_MIN)
        self.beat = self._wrap(bytes(max(0, self.frame.adjust)))

    def __repr__(self):
        return self.name

    def _most_payload(self):
        frame = self.frame
        if self.text:
            return 2 * BIGGEST
        base = {"decimal": 10, "hex": 16}.get(frame.form, 256)
        return base**frame.size - 1 + frame.adjust

    def settings(self):
        """The keys of [Frame], and those of [Heartbeat] that follow from it."""
        keys = (line.partition("=") for line in self.frame.config().splitlines()[1:])
        frame = {key: value for key, _, value in keys}
        return frame, {"Message": self._key(bytes(max(0, self.frame.adjust)))}

    def answer(self):
        """Answer= of an answer that takes some room, and is no message."""
        size = min(ANSWER, self.most)
        return self._key(b"00" * size if self.text else bytes(size))

    def _key(self, payload):
        """A message as a key takes it."""
        message = self._wrap(payload) if self.head else payload
        return "".join(f"\\x{byte:02x}" for byte in message) or '""'

    def _wrap(self, payload):
        if self.head:
            return self.head + self.frame.length_field(len(payload) - self.frame.adjust) + payload
        return self.frame.wrap(payload)

    def wrap(self, stamped):
        """The frame of a stamped message."""
        return self._wrap(stamped.hex().encode() if self.text else stamped)

    def take(self, buffer, limit):
        """Removes the next whole frame from a bytearray: None if there is none yet, b"" for a
        heartbeat or an answer to one, else the stamped message. A stream that is torn is an
        AssertionError."""
        self._look(buffer, limit)
        message = self.frame.take(buffer)
        if message is None:
            return None
        message = message[len(self.head) + self.frame.size :] if self.head else message
        try:
            message = bytes.fromhex(message.decode("ascii")) if self.text else message
        except ValueError:
            raise AssertionError(f"a line that nobody sent: {message[:24]}") from None
        return message if message.strip(b"\0") else b""

    def _look(self, buffer, limit):
        """What a length field says can be true, and what stands before it is known."""
        frame = self.frame
        if self.text or len(buffer) < frame.offset + frame.size:
            return
        field = bytes(buffer[frame.offset : frame.offset + frame.size])
        if buffer[: frame.offset] != self.head:
            raise AssertionError(f"a frame that begins with {bytes(buffer[:24]).hex()}")
        try:
            length = frame._length(field)
        except ValueError:
            length = -1
        if not 0 <= length <= limit + STAMP_MIN + abs(frame.adjust):
            raise AssertionError(f"a frame that declares {field.hex()}")


DEFAULT = Wire("4 big")

WIRES = (
    DEFAULT,
    Wire("1 byte", Frame(1)),
    Wire("1 byte, offset 3", Frame(1, offset=3), b"\x7e\0\x7e"),
    Wire("2 big", Frame(2)),
    Wire("2 little, own size", Frame(2, "little", adjust=-2)),
    Wire("2 big, offset 4", Frame(2, offset=4, adjust=2), b"\x7e\0\0\x01"),
    Wire("3 little", Frame(3, "little")),
    Wire("4 little", Frame(4, "little")),
    Wire("4 big, own size", Frame(4, adjust=-4)),
    Wire("4 big, tail", Frame(4, adjust=3)),
    Wire("4 little, offset 60", Frame(4, "little", offset=60, adjust=-64), bytes(range(1, 61))),
    Wire("decimal", Frame(4, "decimal")),
    Wire("hex", Frame(4, "hex")),
    Wire("lines", Frame(delimiter=b"\n")),
    Wire("lines, 2 bytes", Frame(delimiter=b"\r\n")),
    Wire("lines, 4 bytes", Frame(delimiter=b"\0\0\0\0")),
)

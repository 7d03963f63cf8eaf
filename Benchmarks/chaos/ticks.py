"""Finds the ticks, the appends of usage rows, in what a pod says to PostgreSQL (frontend/backend protocol 3.0), so that
just those can be repeated or lose their answer."""

import dataclasses
import re
import struct

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_TICK = re.compile(rb"INSERT INTO \S+\.usage_batch\b")


@dataclasses.dataclass
class Tick:
    place: tuple  # journal and position, which tell one tick from another
    messages: bytes  # from the first of its messages to the Sync


class Requests:
    """What one connection's client sends. Between two Syncs stands one statement, because pods do not pipeline."""

    def __init__(self):
        self._buffer = bytearray()
        self._is_started = False
        self._group = bytearray()
        self._tick_names = set()  # prepared statements that are the tick's
        self._place = None

    def feed(self, data):
        """The tick that ends with these bytes, or `None`."""
        self._buffer += data
        tick = None
        while (message := self._next()) is not None:
            self._group += message
            kind = message[:1]
            if kind == b"P":
                self._parse(message)
            elif kind == b"B":
                self._bind(message)
            elif kind in b"SQ":
                tick = Tick(self._place, bytes(self._group)) if kind == b"S" and self._place else None
                self._group.clear()
                self._place = None
        return tick

    def _next(self):
        """The next whole message of an open session."""
        while not self._is_started:
            if len(self._buffer) < 8:
                return None
            length, code = struct.unpack_from(">II", self._buffer)
            if len(self._buffer) < length:
                return None
            del self._buffer[:length]
            self._is_started = code not in (_SSL_REQUEST, _GSS_REQUEST)
        if len(self._buffer) < 5:
            return None
        end = 1 + struct.unpack_from(">I", self._buffer, 1)[0]
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[:end])
        del self._buffer[:end]
        return message

    def _parse(self, message):
        name, text = message[5:].split(b"\0", 2)[:2]
        if _TICK.search(text):
            self._tick_names.add(name)
        else:
            self._tick_names.discard(name)

    def _bind(self, message):
        _, name, rest = message[5:].split(b"\0", 2)
        if name in self._tick_names:
            formats = struct.unpack_from(">H", rest)[0]
            at = 2 + 2 * formats + 2
            values = []
            for _ in range(4):  # stream, journal, epoch, position before the tick
                length = struct.unpack_from(">i", rest, at)[0]
                values.append(rest[at + 4 : at + 4 + length])
                at += 4 + length
            self._place = (values[1], values[3])


class Answer:
    """What comes back for one statement."""

    def __init__(self):
        self._buffer = bytearray()
        self.streams_moved = 0  # the tick's first column: 1 when its compare-and-set took place, else 0
        self.is_error = False

    def feed(self, data):
        """`None`: more is to come. Else the bytes behind the answer's end."""
        self._buffer += data
        while len(self._buffer) >= 5:
            end = 1 + struct.unpack_from(">I", self._buffer, 1)[0]
            if len(self._buffer) < end:
                return None
            kind = self._buffer[:1]
            if kind == b"D":
                length = struct.unpack_from(">i", self._buffer, 7)[0]
                value = bytes(self._buffer[11 : 11 + length])
                self.streams_moved += int.from_bytes(value, "big") if length == 8 else int(value)
            self.is_error = self.is_error or kind == b"E"
            del self._buffer[:end]
            if kind == b"Z":
                return bytes(self._buffer)
        return None

"""Frames on a serial line, as `board_support/common/serial_link.h` has them on the other side."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

PAYLOAD_BYTES = 240
"""At most, of a frame."""

_LONGEST = 2 + PAYLOAD_BYTES + 4
_LONGEST_STUFFED = _LONGEST + 1


@dataclass(frozen=True)
class Frame:
    """What is sent at once: a sequence number, a kind, and at most `PAYLOAD_BYTES`."""

    sequence: int
    kind: int
    payload: bytes = b""

    def encoded(self) -> bytes:
        """As on the wire: with zeros around, and none inside."""
        data = bytes([self.sequence, self.kind]) + self.payload
        return b"\0" + stuffed(data + struct.pack("<I", zlib.crc32(data))) + b"\0"


def stuffed(data: bytes) -> bytes:
    """Consistent overhead byte stuffing of less than 254 bytes: each zero becomes the distance to the next one."""
    return b"".join(bytes([len(run) + 1]) + run for run in data.split(b"\0"))


def unstuffed(data: bytes) -> bytes | None:
    """None where it wasn't made by `stuffed`."""
    runs, position = list[bytes](), 0
    while position < len(data):
        end = position + data[position]
        if end > len(data) or end == position:
            return None
        runs.append(data[position + 1 : end])
        position = end
    return b"\0".join(runs)


def decoded(between: bytes) -> Frame | None:
    """What is between two zeros on the wire; None where that is no undamaged frame."""
    data = unstuffed(between)
    if data is None or not 6 <= len(data) <= _LONGEST:
        return None
    if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        return None
    return Frame(data[0], data[1], data[2:-4])


class Receiver:
    """Finds frames in what arrives, piece by piece."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[Frame | None]:
        """The frames that are complete with these bytes; None stands for a damaged one, or text."""
        *whole, last = (self._pending + data).split(b"\0")
        self._pending = last[-_LONGEST_STUFFED - 1 :]  # of what is longer, a frame isn't the end
        return [decoded(each) for each in whole if each]

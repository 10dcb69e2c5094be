"""Requests and answers over a serial line that loses, adds and changes bytes."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path

from tinycompile.errors import DeviceError, system_reason
from tinycompile.monitor import opened
from tinycompile.serial_link.frames import Frame, Receiver

SILENCE = 20.0
"""Seconds without a valid frame after which nobody is thought to be there."""


class Kind(IntEnum):
    """Of requests; those of answers have 128 more."""

    HELLO = 1
    BYE = 2
    WRITE = 3
    READ = 4
    DO = 5
    RESUME = 6
    ACCEPTED = 64
    AGAIN = 126
    REFUSED = 127


ANSWER = 128
_LONG = (Kind.DO, Kind.RESUME)
"""What takes as long as the model does; the answer, an event, is sent when it has happened."""
_CALLS_PER_SECOND = 50


class Link:
    """One end of a line: asks until there is an answer."""

    def __init__(self, descriptor: int, port: Path, baud: int, silence: float = SILENCE) -> None:
        """Args:
        silence: seconds without a valid frame after which to give up.
        """
        self._descriptor, self._port, self._baud, self._silence = descriptor, port, baud, silence
        self._receiver, self._found = Receiver(), list[Frame | None]()
        self._sequence, self._heard, self._bytes = 0, time.monotonic(), 0
        self.sent, self.resent, self.damaged = 0, 0, 0

    @property
    def described(self) -> str:
        """For people."""
        return f"{self.sent:,} requests, {self.resent:,} of them again; {self.damaged:,} damaged frames came"

    def hello(self) -> bytes:
        """Call until the board answers, however busy it is with what it prints.

        Raises:
            DeviceError: nobody does.
        """
        self._heard = time.monotonic()
        while not self._called():
            self._give_up_if_silent()
        return self.request(Kind.HELLO)

    def _called(self) -> bool:
        self._sequence = (self._sequence + 1) & 0xFF
        self._write(Frame(self._sequence, Kind.HELLO))
        left = 1 / _CALLS_PER_SECOND
        end = time.monotonic() + left
        while frames := self._wait(left):
            if any(frame is not None and frame.kind == Kind.HELLO | ANSWER for frame in frames):
                return True
            if (left := end - time.monotonic()) <= 0:
                break  # one that never stops talking
        return False

    def goodbye(self) -> None:
        """The board goes on with what it does alone; whether it has heard doesn't matter."""
        self._write(Frame((self._sequence + 1) & 0xFF, Kind.BYE))

    def request(self, kind: Kind, payload: bytes = b"") -> bytes:
        """The answer's payload; of `DO` and `RESUME` the event's.

        Raises:
            DeviceError: none came, or the board refuses.
        """
        self._sequence = (self._sequence + 1) & 0xFF
        frame = Frame(self._sequence, kind, payload)
        usual = 0.1 + 40 * (len(payload) + 260) / self._baud
        wait, self._heard = usual, time.monotonic()
        self._write(frame)
        while True:
            answer = self._answer(kind, wait)
            if isinstance(answer, bytes):
                return answer
            self._give_up_if_silent()
            wait = min(2.0, 2 * wait)
            self.resent += 1
            self._write(frame)

    def _answer(self, kind: Kind, wait: float) -> bytes | None:
        """None where the request is to be sent again."""
        deadline, wanted = time.monotonic() + wait, {kind, Kind.DO} if kind in _LONG else {kind}
        while True:
            if not self._found:
                self._found = self._wait(max(0.0, deadline - time.monotonic()))
                if not self._found:
                    return None
            frame = self._found.pop(0)
            if frame is None:
                self.damaged += 1
                return None
            self._heard = time.monotonic()
            if frame.kind == Kind.AGAIN | ANSWER or frame.kind == Kind.AGAIN:
                return None
            if frame.sequence != self._sequence:
                continue  # of a request that was answered already
            if frame.kind == Kind.REFUSED | ANSWER:
                raise DeviceError(
                    "the board refuses a request",
                    where=str(self._port),
                    why=f"{kind.name} isn't for this model, or names memory that it hasn't",
                    hint="flash this build again: `tinycompile flash`",
                )
            if frame.kind == Kind.ACCEPTED | ANSWER and kind in _LONG:
                deadline = time.monotonic() + 2.0  # the event may be lost as any other frame
            elif frame.kind - ANSWER in wanted:
                return frame.payload

    def _give_up_if_silent(self) -> None:
        silent = time.monotonic() - self._heard
        if silent > self._silence:
            raise DeviceError(
                f"nothing was heard from the board for {silent:.0f} s",
                where=str(self._port),
                why=f"{f'{self._bytes:,} bytes came, but ' if self._bytes else ''}no frame came at {self._baud} baud",
                hint="`tinycompile flash` the build; compare --port and --baud with the board's README; press reset; "
                "close other programs on this port; give a slow inference more time: --timeout 120",
            )

    def _write(self, frame: Frame) -> None:
        data = frame.encoded()
        self.sent += 1
        try:
            while data:
                if not select.select([], [self._descriptor], [], self._silence)[1]:
                    raise DeviceError("the port takes no more bytes", where=str(self._port), hint="press reset")
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise self._gone(error) from error

    def _wait(self, seconds: float) -> list[Frame | None]:
        """The frames that arrive within a time; returns with the first, and when it is over, whatever else comes."""
        deadline = time.monotonic() + seconds
        while select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            data = self._read()
            self._bytes += len(data)
            frames = self._receiver.feed(data)
            if frames or time.monotonic() >= deadline:
                return frames
        return []

    def _read(self) -> bytes:
        """What has arrived."""
        try:
            data = os.read(self._descriptor, 4096)
        except OSError as error:
            raise self._gone(error) from error
        if not data:
            raise self._gone(None)
        return data

    def _gone(self, error: OSError | None) -> DeviceError:
        why = "" if error is None else system_reason(error)
        return DeviceError("the board was unplugged", where=str(self._port), why=why, hint="connect it, and try again")


@contextmanager
def linked(port: Path, baud: int, silence: float = SILENCE) -> Generator[Link]:
    """A link over a serial port, with a goodbye at its end.

    Raises:
        UsageError: the port can't be opened. DeviceError: as `Link`'s methods.
    """
    with opened(port, baud) as descriptor:
        link = Link(descriptor, port, baud, silence)
        try:
            yield link
        finally:
            with suppress(DeviceError):  # what happened before is what matters
                link.goodbye()

"""Serial ports: found, opened; and `tinycompile monitor`, which shows what the console firmware prints on one."""

from __future__ import annotations

import fcntl
import os
import select
import termios
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinycompile.errors import UsageError, system_reason

_PORTS = ("ttyACM*", "ttyUSB*", "tty.usbmodem*", "tty.usbserial*")


def find_port() -> Path:
    """The only serial port that a debugger or USB adapter has made.

    Raises:
        UsageError: there is none, or there are several.
    """
    ports = _ports()
    if len(ports) != 1:
        found = ", ".join(map(str, ports)) if ports else "none"
        raise UsageError(
            "can't tell which serial port is the board's",
            why=f"looked for {', '.join(_PORTS)} in /dev and found {found}",
            hint="connect the board, or name the port: --port /dev/ttyACM0",
        )
    return ports[0]


def _ports() -> list[Path]:
    return sorted(port for pattern in _PORTS for port in Path("/dev").glob(pattern))


def lines(port: Path, baud: int, timeout: float | None = None, greeting: bytes = b"") -> Iterator[str]:
    """Lines of text from a serial port, 8 bits without parity.

    Args:
        timeout: seconds without a byte after which to stop; None for never.
        greeting: sent first.

    Raises:
        UsageError: the port can't be opened, isn't a serial port, or has no such baud rate.
    """
    with opened(port, baud) as descriptor:
        os.write(descriptor, greeting)
        yield from _lines(descriptor, timeout)


@contextmanager
def opened(port: Path, baud: int) -> Generator[int]:
    """The file descriptor of a serial port, 8 bits without parity, raw.

    Raises:
        UsageError: as for `lines`.
    """
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise UsageError(f"{baud} baud is not a rate of this system's serial ports", where=str(port))
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        hint = _what_to_open(error)
        raise UsageError(
            "the serial port can't be opened", where=str(port), why=system_reason(error), hint=hint
        ) from error
    try:
        _reserve(descriptor, port)
        _make_raw(descriptor, port, speed)
        with suppress(OSError):  # who opens it a second time would take bytes of the first
            fcntl.ioctl(descriptor, termios.TIOCEXCL)
        yield descriptor
    finally:
        os.close(descriptor)


def _what_to_open(error: OSError) -> str:
    match error:
        case PermissionError():
            return "join the group that may: sudo usermod -aG dialout $USER (Debian), then log in again"
        case FileNotFoundError():
            ports = ", ".join(map(str, _ports()))
            return f"--port with one of {ports}" if ports else "connect the board: no serial port is in /dev"
        case IsADirectoryError():
            return "name the port itself, such as --port /dev/ttyACM0"
        case _:
            return "close what else has it open"


def _reserve(descriptor: int, port: Path) -> None:
    """So that no second command takes bytes of the first: TIOCEXCL doesn't keep root out."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            "the serial port is in use",
            where=str(port),
            why=f"another tinycompile talks to it: {system_reason(error)}",
            hint="wait for that one, or end it",
        ) from error


def _make_raw(descriptor: int, port: Path, speed: int) -> None:
    try:
        attributes = termios.tcgetattr(descriptor)
        control = termios.CS8 | termios.CREAD | termios.CLOCAL
        attributes[:6] = [0, 0, control, 0, speed, speed]
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    except termios.error as error:
        raise UsageError("not a serial port", where=str(port), why=os.strerror(error.args[0]).lower()) from error


def _lines(descriptor: int, timeout: float | None) -> Iterator[str]:
    pending = b""
    while select.select([descriptor], [], [], timeout)[0]:
        try:
            received = os.read(descriptor, 4096)
        except OSError:
            return  # the board was unplugged
        if not received:
            return
        *whole, pending = (pending + received).split(b"\n")
        yield from (line.rstrip(b"\r").decode(errors="replace") for line in whole)

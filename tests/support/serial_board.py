"""A board on a serial port: QEMU with its UART on a pseudo terminal, and a bad cable in front of it."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import signal
import subprocess
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinycompile.targets import Board


@dataclass(frozen=True)
class Machine:
    """QEMU, and the serial port that it made. It waits for bytes as a board does, by looking all the time."""

    port: Path
    process: subprocess.Popen[bytes]

    @contextmanager
    def awake(self) -> Iterator[Path]:
        """Otherwise it sleeps, if its process was stopped."""
        self.process.send_signal(signal.SIGCONT)
        try:
            yield self.port
        finally:
            self.process.send_signal(signal.SIGSTOP)


@contextmanager
def launched(elf: Path, board: Board) -> Iterator[Machine]:
    """An emulated board that runs `elf`. Its counter follows executed instructions."""
    assert board.qemu is not None
    command = [board.toolchain.emulator, *board.toolchain.emulator_flags, *board.qemu.flags]
    command += ["-display", "none", "-monitor", "none", "-serial", "pty", "-kernel", str(elf)]
    command += ["-icount", f"shift={board.qemu.icount_shift}"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            found = re.search(r"/dev/pts/\d+", line)
            assert found, line
            yield Machine(Path(found[0]), process)
        finally:
            process.kill()


@contextmanager
def emulated(elf: Path, board: Board) -> Iterator[Path]:
    """Its serial port."""
    with launched(elf, board) as machine:
        yield machine.port


@contextmanager
def bad_cable(port: Path, rate: float, seed: int = 0) -> Iterator[tuple[Path, list[int]]]:
    """(another port with the same board, of which a share `rate` of the frames of either direction is damaged; how many
    frames were and were not)."""
    ours, theirs = pty.openpty()
    board = os.open(port, os.O_RDWR | os.O_NOCTTY)
    for descriptor in (ours, theirs, board):
        tty.setraw(descriptor)
    stopped, counts, numbers = threading.Event(), [0, 0], random.Random(seed)  # noqa: S311 - no secrets
    pending = {ours: b"", board: b""}

    def carry() -> None:
        while not stopped.is_set():
            for source in select.select([ours, board], [], [], 0.1)[0]:
                *whole, pending[source] = (pending[source] + os.read(source, 4096)).split(b"\0")
                for each in whole:
                    damaged = len(each) > 0 and numbers.random() < rate
                    counts[damaged] += len(each) > 0
                    os.write(board if source == ours else ours, _damaged(each, numbers) if damaged else each + b"\0")

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield Path(os.ttyname(theirs)), counts
    finally:
        stopped.set()
        thread.join()
        for descriptor in (ours, theirs, board):
            os.close(descriptor)


def _damaged(frame: bytes, numbers: random.Random) -> bytes:
    """A byte changed, lost or added, the rest lost, or the zero that ends it."""
    at = numbers.randrange(len(frame))
    match numbers.randrange(5):
        case 0:
            return frame[:at] + bytes([frame[at] ^ 1 << numbers.randrange(8)]) + frame[at + 1 :] + b"\0"
        case 1:
            return frame[:at] + frame[at + 1 :] + b"\0"
        case 2:
            return frame[:at] + bytes([numbers.randrange(256)]) + frame[at:] + b"\0"
        case 3:
            return frame[:at] + b"\0"
        case _:
            return frame

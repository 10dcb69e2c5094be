"""A model on a board, as the console firmware of its build serves it."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from tinycompile.build import Build
from tinycompile.emulator import Execution
from tinycompile.errors import DeviceError, ToolMissingError, UsageError
from tinycompile.host import HostModel
from tinycompile.ir import Array, TensorType
from tinycompile.monitor import find_port
from tinycompile.progress import step
from tinycompile.serial_link.frames import PAYLOAD_BYTES
from tinycompile.serial_link.link import SILENCE, Kind, Link, linked
from tinycompile.trace import TracePart, TraceRecord, records

PROTOCOL = 1
_WRITTEN = PAYLOAD_BYTES - 8
"""Bytes of memory in a frame, behind area and offset."""
_ID = re.compile(r"build_id\[8\] = \{([^}]*)\}")
_ALL_RECORDS = (0, 1 << 30)


class Action(IntEnum):
    """What a board can be asked to do."""

    INVOKE = 0
    RESET = 1
    PREDICT = 2
    TRAIN = 3
    ACCUMULATE = 4
    APPLY = 5
    RATE = 6
    LOAD = 7
    SAVE = 8


class Event(IntEnum):
    """At what it stops."""

    DONE = 0
    RECORD = 1
    ROWS = 2
    SLOT_READ = 3
    SLOT_WRITE = 4


class Area(IntEnum):
    """Memory that can be read, and of the label, inputs and what is shown written."""

    SHOWN = 0
    CYCLES = 1
    SUMS = 2
    STATES = 3
    LABEL = 4
    INPUTS = 256
    OUTPUTS = 512


@dataclass(frozen=True)
class Place:
    """Where a board is: its port, None for the only one there is; baud rate, None for the board's; seconds of silence
    after which to give up.
    """

    port: Path | None = None
    baud: int | None = None
    silence: float = SILENCE


@dataclass(frozen=True, eq=False)
class Happened:
    """How an action ended.

    Attributes:
        status: of the model's function. value: what it resulted in beside, a loss or a checkpoint's number.
        ticks: of the board's counter, for all but what reports of layers cost. stack_bytes: the deepest use so far.
        parts: of the records that were asked for.
    """

    status: int
    ticks: int
    value: int
    stack_bytes: int
    parts: tuple[TracePart, ...] = ()


class Console:
    """A board whose console firmware answers.

    Attributes:
        ticks: of the board's counter, of each inference that `execute` had it run.
        on_slot: gives and takes blocks of checkpoints: (event, slot, offset, their bytes or how many) to bytes.
    """

    def __init__(self, build: Build, link: Link, port: Path) -> None:
        """Raises:
        DeviceError: nobody answers, or the firmware of another build does.
        """
        self._build, self.link, self.port = build, link, port
        self._streamed = build.report["input_stream"] == "rows"
        hello = link.hello()
        protocol, _, self._records = struct.unpack_from("<3I", hello)
        if protocol != PROTOCOL:
            raise self._other(f"it speaks version {protocol} of the protocol, this tinycompile version {PROTOCOL}")
        model, board = hello[20:].decode(errors="replace").split("\n", 1)
        if hello[12:20] != _build_id(build):
            raise self._other(f"it is of {model} for {board}, with the number {hello[12:20].hex()}")
        self.ticks = list[int]()
        self.on_slot: Callable[[Event, int, int, bytes | int], bytes] | None = None

    def _other(self, why: str) -> DeviceError:
        return DeviceError(
            "the board has another firmware than this build's",
            where=f"{self.port}, {self._build.folder}",
            why=why,
            hint="`tinycompile flash` this build, or name the folder of the one that was flashed",
        )

    @property
    def name(self) -> str:
        return f"{self._build.board.name} on {self.port}"

    def read(self, area: int, size: int, offset: int = 0) -> bytes:
        """Bytes of an area."""
        found, end = list[bytes](), offset + size
        for at in range(offset, end, PAYLOAD_BYTES):
            found.append(self.link.request(Kind.READ, struct.pack("<3I", area, at, min(PAYLOAD_BYTES, end - at))))
        return b"".join(found)

    def write(self, area: int, data: bytes) -> None:
        """The first bytes of an area."""
        for at in range(0, len(data), _WRITTEN):
            self.link.request(Kind.WRITE, struct.pack("<2I", area, at) + data[at : at + _WRITTEN])

    def do(
        self, action: Action, first: int = 0, last: int = 0, rows: bytes = b"", allowed: Sequence[int] = ()
    ) -> Happened:
        """Have something done.

        Args:
            first, last: the records [first, last) are wanted whole; of `RATE` its two numbers.
            rows: the input of a model that asks for its rows.
            allowed: statuses that are no failure.

        Raises:
            DeviceError: the model says that it can't, or nobody answers.
        """
        parts = list[TracePart]()
        event = self.link.request(Kind.DO, struct.pack("<3I", action, first & 0xFFFFFFFF, last & 0xFFFFFFFF))
        while True:
            what, status, ticks, value, size, *more = struct.unpack("<8I", event)
            if what == Event.DONE:
                if status and status not in allowed:
                    raise DeviceError(
                        f"{action.name} failed on the board",
                        where=self.name,
                        why=f"its status is {status}, as {self._build.model}.h explains",
                    )
                return Happened(status, ticks, value, more[0], tuple(parts))
            self._serve(Event(what), value, size, more, rows, parts)
            event = self.link.request(Kind.RESUME)

    def _serve(
        self, event: Event, value: int, size: int, more: Sequence[int], rows: bytes, parts: list[TracePart]
    ) -> None:
        """What the board has stopped for."""
        match event:
            case Event.ROWS:
                each = size // max(1, more[0])
                self.write(Area.SHOWN, rows[value * each : value * each + size])
            case Event.RECORD:
                row, column, columns = (n - (1 << 32) if n >> 31 else n for n in more)
                parts.append(TracePart(value, self.read(Area.SHOWN, size), row, column, columns))
            case Event.SLOT_READ if self.on_slot is not None:
                self.write(Area.SHOWN, self.on_slot(event, value, more[0], size))
            case Event.SLOT_WRITE if self.on_slot is not None:
                self.on_slot(event, value, more[0], self.read(Area.SHOWN, size))
            case _:
                pass

    def give(self, inputs: Sequence[Array]) -> bytes:
        """A sample's inputs; returns what the model will ask for row by row."""
        data = [bytes_of(array, t) for array, t in zip(inputs, self._build.inputs, strict=True)]
        if self._streamed:
            return data[0]
        for i, each in enumerate(data):
            self.write(Area.INPUTS + i, each)
        return b""

    def outputs(self) -> list[Array]:
        """Of the last inference."""
        found = list[Array]()
        for i, t in enumerate(self._build.outputs):
            found.append(t.dtype.unpack(self.read(Area.OUTPUTS + i, t.bytes), t.elements).reshape(t.shape))
        return found

    def words(self, area: Area) -> list[int]:
        """A word of each layer, and of each state behind them."""
        return list(struct.unpack(f"<{self._records}I", self.read(area, 4 * self._records)))

    def execute(self, samples: Sequence[Array], steps: int = 0) -> Execution:
        """Inferences, and what every layer computed.

        Of each record only a sum comes over the line, where this machine computes the same; else the record itself, by
        another inference.

        Args:
            samples: one array (samples, *shape) per input.
            steps: of each sequence, before which states begin again; 0 where all samples are one.

        Returns:
            With ticks of the board's counter in the place of instructions.
        """
        count = len(samples[0])
        outputs, ticks, traces, stack, begun = list[list[Array]](), list[int](), list[list[TraceRecord]](), 0, 0
        for i in range(count):
            step(f"sample {i + 1} of {count} on {self.name}")
            if i % (steps or count) == 0:
                self._reset()
                begun = i
            rows = self.give([array[i] for array in samples])
            happened = self.do(Action.INVOKE, rows=rows)
            found, sums = self.outputs(), self.words(Area.SUMS)
            traces.append(self._traced(samples, i, begun, sums))
            outputs.append(found)
            ticks.append(happened.ticks)
            stack = max(stack, happened.stack_bytes)
        self.ticks = ticks
        columns = [np.stack(column) for column in zip(*outputs, strict=True)]
        return Execution(columns, ticks, stack, traces)

    def _reset(self) -> None:
        self.do(Action.RESET)
        if (here := self._here()) is not None:
            here.reset()

    def _here(self) -> HostModel | None:
        """The generated C on this machine; None where it has no compiler."""
        try:
            return self._build.host
        except ToolMissingError:
            return None

    def _traced(self, samples: Sequence[Array], sample: int, begun: int, sums: Sequence[int]) -> list[TraceRecord]:
        """The records of a sample, those that this machine doesn't have read from the board."""
        here = self._here()
        expected = list[TraceRecord]() if here is None else here.trace([array[sample] for array in samples])[1]
        parts = [part for record in expected for part in record.parts]
        own = sums_of(parts, self._records)
        other = {i for i, (a, b) in enumerate(zip(own, sums, strict=True)) if a != b}
        if not other:
            return expected
        shown = (min(other), max(other) + 1) if here is not None else _ALL_RECORDS
        if self._build.report["ram"]["state_bytes"]:
            self.do(Action.RESET)  # the step again, from where its sequence began
            for i in range(begun, sample):
                self.do(Action.INVOKE, rows=self.give([array[i] for array in samples]))
        happened = self.do(Action.INVOKE, *shown, self.give([array[sample] for array in samples]))
        theirs = [part for part in happened.parts if part.layer in other]
        return records([*(part for part in parts if part.layer not in other), *theirs])


def sums_of(parts: Sequence[TracePart], count: int) -> list[int]:
    """Of each record of `count`, as the firmware adds them up: CRC-32 of each part's place and bytes, modulo 2**32."""
    found = [0] * count
    for part in parts:
        if part.data:
            place = struct.pack("<3i", part.row, part.column, part.columns)
            found[part.layer] = (found[part.layer] + zlib.crc32(part.data, zlib.crc32(place))) & 0xFFFFFFFF
    return found


@contextmanager
def console_of(build: Build, place: Place) -> Generator[Console]:
    """The board that has a build's console firmware.

    Raises:
        UsageError: the build has no firmware, it is one of several models and not the first, or no port can be opened.
        DeviceError: nobody answers, or another firmware.
    """
    if build.board.is_host:
        raise UsageError("a build for the host has no firmware for a board", hint="build for another target")
    if build.report["io_prefix"] and build.model != _console_model(build):
        raise UsageError(
            f"the console firmware of this build has {_console_model(build)}, not {build.model}",
            where=str(build.folder),
            hint=f"build {build.model} alone",
        )
    port = place.port or find_port()
    with linked(port, place.baud or build.board.baud, place.silence) as link:
        yield Console(build, link, port)


def _source(build: Build) -> str:
    path = build.folder / "firmware" / "main_console.c"
    return path.read_text(errors="replace") if path.is_file() else ""


def _console_model(build: Build) -> str:
    found = re.search(r"main_console\.c - runs (\w+) ", _source(build))
    return found[1] if found else build.model


def _build_id(build: Build) -> bytes:
    found = _ID.search(_source(build))
    if found is None:
        raise UsageError(
            "this build's console firmware can't be talked to",
            where=str(build.folder),
            why="an older tinycompile made it",
            hint="build the model again, and flash that",
        )
    return bytes(int(word, 16) for word in found[1].split(","))


def bytes_of(array: Array, t: TensorType) -> bytes:
    """As the firmware has it in memory."""
    return t.dtype.pack(np.asarray(array, t.dtype.carrier)).tobytes()

"""Where the generated C of a model that learns is executed: on this machine, or as firmware in QEMU.

Both do what `templates/c/main_training.c.j2` says of a list of commands, and give the same answers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import numpy as np

from tinycompile.build import Build
from tinycompile.dtypes import INT8
from tinycompile.emulator import emulate
from tinycompile.errors import ToolFailedError, UsageError
from tinycompile.ir import Array, TensorType
from tinycompile.temporary import TemporaryFolder
from tinycompile.toolchain import make

BATCH_BYTES = 1 << 24
"""Of commands that the firmware gets at once."""


class Kind(IntEnum):
    """The words of commands."""

    PREDICT = 0
    TRAIN = 1
    LEARNING_RATE = 2
    STATES = 3
    LOAD = 4
    SAVE = 5
    RESET = 6
    ACCUMULATE = 7
    APPLY = 8
    BEGIN_GRADIENT = 9
    EXPORT_GRADIENT = 10
    APPLY_GRADIENT = 11


@dataclass(frozen=True, eq=False)
class Command:
    """What the model is to do.

    Attributes:
        inputs: of PREDICT, TRAIN and ACCUMULATE, of the model's own shapes and types. label: of the last two.
        rate: of LEARNING_RATE, mantissa and exponent. message: a server's, of APPLY_GRADIENT.
    """

    kind: Kind
    inputs: Sequence[Array] = ()
    label: Array | None = None
    rate: tuple[int, int] = (0, 0)
    message: bytes = b""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a command results in.

    Attributes:
        outputs: of PREDICT. states: of STATES, their memory.
        loss: of TRAIN and ACCUMULATE, before the step, with 16 fractional bits.
        number: of LOAD and SAVE, the checkpoint's; 0 for none.
        instructions: of PREDICT, TRAIN and ACCUMULATE in QEMU; ticks of a board's own counter; else 0.
        message: of EXPORT_GRADIENT, to a server.
    """

    outputs: Sequence[Array] = ()
    loss: int = 0
    states: bytes = b""
    number: int = 0
    instructions: int = 0
    message: bytes = b""


class Device(Protocol):
    """A model that goes on from one list of commands to the next, and the two slots of its checkpoints."""

    slots: tuple[bytearray, bytearray]

    @property
    def name(self) -> str: ...

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """An answer to each command.

        Raises:
            ToolMissingError, ToolFailedError: no compiler, no QEMU, or the model refused a command.
        """
        ...


def device_of(build: Build, on: str) -> Device:
    """Where a build's model is executed.

    Args:
        on: "host" or "qemu".

    Raises:
        UsageError: the model doesn't learn, it is one of several, or there is no firmware or QEMU machine for it.
    """
    check_learns(build)
    return OnHost(build) if on == "host" else InQemu(build)


def check_learns(build: Build) -> None:
    """Raises UsageError: the model doesn't learn, or it is one of several."""
    if build.report.get("training") is None:
        raise UsageError(
            "this model doesn't learn", where=str(build.folder), hint='build it with --train, such as "last:2, biases"'
        )
    if build.report["io_prefix"]:
        raise UsageError(
            "the build has several models", where=str(build.folder), hint="build the one that learns alone"
        )


class OnHost:
    """The generated C, compiled for this machine."""

    name = "this machine"

    def __init__(self, build: Build) -> None:
        self._build, self._host = build, build.host
        self._host.restart()  # it may have learned before
        size = self._host.checkpoint_bytes
        self.slots = bytearray(size), bytearray(size)

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        return [self._executed(command) for command in commands]

    def _executed(self, command: Command) -> Answer:
        host = self._host
        match command.kind:
            case Kind.PREDICT:
                return Answer(outputs=host.run(command.inputs))
            case Kind.TRAIN | Kind.ACCUMULATE:
                if command.label is None:
                    raise ValueError("a step needs a label")
                learn = host.train if command.kind == Kind.TRAIN else host.accumulate
                return Answer(loss=learn(command.label, command.inputs))
            case Kind.APPLY:
                host.apply()
            case Kind.LEARNING_RATE:
                host.set_learning_rate(*command.rate)
            case Kind.STATES:
                memory = TensorType((self._build.report["ram"]["state_bytes"],), INT8)
                return Answer(states=host.state(0, memory).tobytes())
            case Kind.LOAD:
                return Answer(number=host.checkpoint_number if host.load(self.slots) else 0)
            case Kind.SAVE:
                host.save(self.slots)
                return Answer(number=host.checkpoint_number)
            case Kind.RESET:
                host.reset()
            case Kind.BEGIN_GRADIENT:
                host.begin_gradient()
            case Kind.EXPORT_GRADIENT:
                return Answer(message=host.export_gradient())
            case Kind.APPLY_GRADIENT:
                host.apply_gradient(command.message)
        return Answer()


def batches(commands: Sequence[Command], most: int = BATCH_BYTES) -> Iterator[list[Command]]:
    """The commands in lists of about `most` bytes of inputs, each of which begins where a checkpoint has all that is
    left of those before: with a step or a prediction, and with accumulators that were applied. Label, loss and
    accumulators are in none.
    """
    batch, size, accumulated = list[Command](), 0, False
    for command in commands:
        if size >= most and command.inputs and not accumulated:
            yield batch
            batch, size = [], 0
        batch.append(command)
        size += sum(array.nbytes for array in command.inputs)
        if command.kind in (Kind.ACCUMULATE, Kind.APPLY):
            accumulated = command.kind == Kind.ACCUMULATE
    yield batch


class InQemu:
    """The firmware: a run of its own for each list of commands, which goes on from the checkpoint of the last one."""

    def __init__(self, build: Build) -> None:
        self._build, self._board = build, build.emulated
        if build.board.is_host:
            raise UsageError("a build for the host has no firmware to run in QEMU", hint="--on host")
        self._rate: Command | None = None
        self._gradient = b""
        self.slots = bytearray(), bytearray()
        make(build.folder, "training", toolchain=build.board.toolchain)

    @property
    def name(self) -> str:
        return f"QEMU's {self._board.name}"

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        return [answer for batch in batches(commands) for answer in self._executed(batch)]

    def _executed(self, commands: Sequence[Command]) -> list[Answer]:
        before = [Command(Kind.LOAD), *([self._rate] if self._rate is not None else [])]
        whole = [*before, *commands, Command(Kind.SAVE)]
        with TemporaryFolder("train") as name:
            folder = Path(name)
            with (folder / "commands.bin").open("wb") as file:
                for command in whole:
                    file.write(self._encoded(command))
            kept = folder / "gradient.bin"
            if self._gradient:
                kept.write_bytes(self._gradient)
            for number, slot in enumerate(self.slots):
                if slot:
                    (folder / f"slot_{number}.bin").write_bytes(slot)
            emulate(self._build.folder / "firmware_training.elf", self._board, folder, images=self._build.images)
            answers = self._decoded(whole, (folder / "results.bin").read_bytes())
            for number, slot in enumerate(self.slots):
                path = folder / f"slot_{number}.bin"
                slot[:] = path.read_bytes() if path.exists() else b""
            self._gradient = kept.read_bytes() if kept.exists() else b""
        said = next((each for each in reversed(whole) if each.kind in (Kind.LEARNING_RATE, Kind.RESET)), None)
        self._rate = said if said is not None and said.kind == Kind.LEARNING_RATE else None
        return answers[len(before) : -1]

    def _encoded(self, command: Command) -> bytes:
        parts = [struct.pack("<I", command.kind)]
        if command.kind == Kind.LEARNING_RATE:
            parts.append(struct.pack("<2i", *command.rate))
        if command.kind == Kind.APPLY_GRADIENT:
            parts += [struct.pack("<I", len(command.message)), command.message]
        if command.label is not None and self._build.label is not None:
            parts.append(_bytes(command.label, self._build.label))
        parts += [_bytes(array, t) for array, t in zip(command.inputs, self._build.inputs, strict=False)]
        return b"".join(parts)

    def _decoded(self, commands: Sequence[Command], results: bytes) -> list[Answer]:
        answers, position = list[Answer](), 0
        sizes = {Kind.PREDICT: 4 + sum(t.bytes for t in self._build.outputs), Kind.TRAIN: 8, Kind.LOAD: 4, Kind.SAVE: 4}
        sizes[Kind.ACCUMULATE] = sizes[Kind.TRAIN]
        sizes[Kind.STATES] = self._build.report["ram"]["state_bytes"]
        for command in commands:
            size = sizes.get(command.kind, 0)
            if command.kind == Kind.EXPORT_GRADIENT:
                size = 4 + int.from_bytes(results[position : position + 4], "little")
            answers.append(self._answer(command.kind, results[position : position + size]))
            position += size
        if position != len(results):
            raise ToolFailedError(f"the firmware wrote {len(results)} bytes of results, expected {position}")
        return answers

    def _answer(self, kind: Kind, data: bytes) -> Answer:
        qemu = self._board.qemu
        match kind:
            case Kind.PREDICT | Kind.TRAIN | Kind.ACCUMULATE:
                count = 0 if qemu is None else qemu.instructions(int(struct.unpack_from("<I", data)[0]))
                if kind != Kind.PREDICT:
                    return Answer(loss=struct.unpack_from("<i", data, 4)[0], instructions=count)
                return Answer(outputs=_split(data[4:], self._build.outputs), instructions=count)
            case Kind.STATES:
                return Answer(states=data)
            case Kind.LOAD | Kind.SAVE:
                return Answer(number=struct.unpack("<I", data)[0])
            case Kind.EXPORT_GRADIENT:
                return Answer(message=data[4:])
            case _:
                return Answer()


def _bytes(array: Array, t: TensorType) -> bytes:
    return t.dtype.pack(np.asarray(array, t.dtype.carrier)).tobytes()


def _split(data: bytes, types: Sequence[TensorType]) -> list[Array]:
    found, position = list[Array](), 0
    for t in types:
        found.append(t.dtype.unpack(data[position : position + t.bytes], t.elements).reshape(t.shape))
        position += t.bytes
    return found

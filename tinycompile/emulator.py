"""Runs a firmware ELF in QEMU: inputs and outputs through semihosting files, executed instructions from a timer."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinycompile.elf import symbol_values
from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array, TensorType
from tinycompile.targets import Board
from tinycompile.temporary import TemporaryFolder
from tinycompile.toolchain import require, run
from tinycompile.trace import TracePart, TraceRecord, records


@dataclass(frozen=True, eq=False)
class Execution:
    """What a run produced.

    Attributes:
        outputs: one array (samples, *shape) per model output.
        instructions: executed instructions of each inference.
        stack_bytes: deepest use of the painted stack, main() included.
        step_instructions: of all samples, those of each return of <model>_invoke_steps; empty without a budget.
        trace: per sample, the records of a trace build; empty otherwise.
    """

    outputs: list[Array]
    instructions: list[int]
    stack_bytes: int
    trace: list[list[TraceRecord]]
    step_instructions: list[int] = field(default_factory=list[int])


def execute(
    elf: Path,
    board: Board,
    inputs: Sequence[Array],
    outputs: Sequence[TensorType],
    *,
    prefix: str = "",
    plugins: Sequence[str] = (),
    images: Sequence[tuple[Path, int]] = (),
    steps: int = 0,
    budget: int | None = None,
    alone: bool = False,
    timeout: float = 1800,
) -> Execution:
    """Run `elf` on every sample.

    Args:
        board: the emulated board, with a QEMU machine.
        inputs: one array (samples, *shape) per model input.
        prefix: of the files by which this model's firmware is fed.
        plugins: TCG plugins with their options, as QEMU takes them.
        images: (file, address) of what else is in memory: separate weights.
        steps: of each sequence, before which a model with states is reset; 0 where all samples are one.
        alone: of a firmware for two cores, one computes everything.
        budget: executes inferences in steps of so many instructions; of a build with `--steps`.

    Raises:
        ToolMissingError: no QEMU. ToolFailedError: the firmware crashed or stopped early.
    """
    if board.qemu is None:
        raise ValueError(f"{board.name} has no QEMU machine")
    samples = len(inputs[0])
    with TemporaryFolder("run") as name:
        folder = Path(name)
        with (folder / f"{prefix}input.bin").open("wb") as file:
            for sample in range(samples):
                for array in inputs:
                    file.write(array[sample].tobytes())
        if steps:
            (folder / f"{prefix}steps.bin").write_bytes(struct.pack("<I", steps))
        if alone:
            (folder / f"{prefix}alone.bin").touch()
        if budget is not None:
            (folder / f"{prefix}budget.bin").write_bytes(struct.pack("<I", budget))
        emulate(elf, board, folder, plugins=plugins, images=images, timeout=timeout)
        if not (folder / f"{prefix}stats.bin").exists():
            raise ToolFailedError(
                "the firmware ended and wrote no results",
                where=str(elf),
                why="it isn't that of this build: it was linked with other objects",
                hint="`make clean all` in the folder of the build",
            )
        stats = np.fromfile(folder / f"{prefix}stats.bin", np.uint32).reshape(-1, 3)
        if len(stats) != samples or stats[:, 0].any():
            raise ToolFailedError(
                f"the firmware finished {len(stats)} of {samples} samples", why=f"status codes {stats[:, 0].tolist()}"
            )
        return Execution(
            _split_outputs((folder / f"{prefix}output.bin").read_bytes(), outputs, samples),
            [board.qemu.instructions(int(ticks)) for ticks in stats[:, 1]],
            int(stats[:, 2].max()),
            _split_trace(folder / f"{prefix}trace.bin", board, samples),
            _step_instructions(folder / f"{prefix}step_ticks.bin", board),
        )


def _step_instructions(path: Path, board: Board) -> list[int]:
    if not path.exists() or board.qemu is None:
        return []
    return [board.qemu.instructions(int(ticks)) for ticks in np.fromfile(path, np.uint32)]


def emulate(
    elf: Path,
    board: Board,
    folder: Path,
    *,
    plugins: Sequence[str] = (),
    images: Sequence[tuple[Path, int]] = (),
    timeout: float = 1800,
) -> None:
    """Run `elf` to its end, with the files of a folder on the debugging host; otherwise as `execute`.

    Raises:
        ToolMissingError: no QEMU. ToolFailedError: the firmware crashed, or ended with another exit code than 0.
    """
    if board.qemu is None:
        raise ValueError(f"{board.name} has no QEMU machine")
    tools = board.toolchain
    command = [require(tools.emulator, tools), *board.qemu.flags, "-nographic", "-monitor", "none"]
    command += ["-serial", "none", *tools.emulator_flags]
    command += ["-icount", f"shift={board.qemu.icount_shift}", "-kernel", str(elf.resolve())]
    command += [word for plugin in plugins for word in ("-plugin", plugin)]
    for image, address in (*images, *_bootloader(folder, elf, board)):
        file = str(image.resolve()).replace(",", ",,")  # QEMU's separator
        command += ["-device", f"loader,file={file},addr={address:#x},force-raw=on"]
    run(command, cwd=folder, timeout=timeout)


def _bootloader(folder: Path, elf: Path, board: Board) -> list[tuple[Path, int]]:
    """(file, address) of what stands for the bootloader that a firmware comes after: its stack pointer and entry."""
    if not board.flash_offset or board.vectors is not None:
        return []
    stack, entry = symbol_values(elf, "linker_stack_top", board.toolchain.entry)
    image = folder / "bootloader.bin"
    image.write_bytes(struct.pack("<2I", stack, entry | 1))
    return [(image, board.reset_origin)]


def _split_outputs(data: bytes, types: Sequence[TensorType], samples: int) -> list[Array]:
    arrays, stride, offset = list[Array](), sum(t.bytes for t in types), 0
    if len(data) != samples * stride:
        raise ToolFailedError(f"the firmware wrote {len(data)} bytes of output, expected {samples * stride}")
    rows = np.frombuffer(data, np.uint8).reshape(samples, stride)
    for t in types:
        values = t.dtype.unpack(rows[:, offset : offset + t.bytes], t.elements)
        arrays.append(values.reshape(samples, *t.shape))
        offset += t.bytes
    return arrays


def _split_trace(path: Path, board: Board, samples: int) -> list[list[TraceRecord]]:
    if not path.exists() or board.qemu is None:
        return []
    data, parts, position = path.read_bytes(), list[TracePart](), 0
    while position < len(data):
        layer, size, *place, ticks = (int(v) for v in np.frombuffer(data, np.int32, 6, position))
        payload = data[position + 24 : position + 24 + size]
        parts.append(TracePart(layer, payload, *place, instructions=board.qemu.instructions(ticks & 0xFFFFFFFF)))
        position += 24 + size
    if len(parts) % samples:
        raise ToolFailedError("the firmware's trace is incomplete")
    each = len(parts) // samples
    return [records(parts[i * each : (i + 1) * each]) for i in range(samples)]

"""Many layers in one firmware, each a model of its own: compiled, executed once in QEMU, and its object files read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.codegen.copies import Copy
from tinycompile.codegen.emit import UNKNOWN_STACK_BYTES, emit_linker_scripts, emit_makefile, emit_project
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.emulator import emulate
from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array, TensorType
from tinycompile.layout import Layout
from tinycompile.measuring.unit import Unit, nothing
from tinycompile.object_file import ObjectFile, Section
from tinycompile.report.collect import stack_from
from tinycompile.samples import noise
from tinycompile.staging import write_files
from tinycompile.targets import Board
from tinycompile.temporary import TemporaryFolder
from tinycompile.toolchain import make

VARIES = 0.002
"""Of a layer's instructions: what fewer or more for zeros than for other values says that they follow from values."""


@dataclass(frozen=True)
class Measured:
    """What a layer takes, as a model of its own.

    Attributes:
        instructions: of an inference, with what all models have.
        stack_bytes: of `<model>_invoke` and all that it calls.
        caller_bytes: of the function that calls the layer.
        functions: the layer's own and those that it calls in the same file, by their names in C.
        sections: code and tables of these, without the model's constants and its interface.
        library: other functions that it needs.
        varies: it executes more or less by the values of its operands.
        far_instructions: with all of its functions in RAM, where the linker puts code between them and their library.
    """

    instructions: int
    stack_bytes: int
    caller_bytes: int
    functions: tuple[str, ...]
    sections: tuple[Section, ...]
    library: tuple[str, ...]
    varies: bool = False
    far_instructions: int = 0

    def as_json(self) -> list[Any]:
        """See `of_json`."""
        sections = [[each.name, each.bytes, each.content, each.is_code] for each in self.sections]
        facts = [self.instructions, self.stack_bytes, self.caller_bytes, self.functions]
        return [*facts, sections, self.library, self.varies, self.far_instructions]

    @staticmethod
    def of_json(facts: list[Any]) -> Measured:
        """What `as_json` has made."""
        executed, stack, caller, functions, sections, library, *more = facts
        parts = tuple(functions), tuple(Section(*each) for each in sections), tuple(library)
        return Measured(executed, stack, caller, *parts, *more)


def measured(units: Sequence[Unit], board: Board) -> list[Measured]:
    """Build and run layers.

    Args:
        board: whose core and compiler; it has an emulated stand-in.

    Raises:
        ToolMissingError: no compiler, or no QEMU. ToolFailedError: one of them failed.
    """
    room = laboratory(board)
    programs = [each.program(f"layer_{i}", room) for i, each in enumerate([*units, nothing(room.core)])]
    origin = Provenance("layer", "0" * 64)
    project = Project(room, Layout.simple(room), tuple(programs), (origin,) * len(programs))
    with TemporaryFolder("layers") as name:
        folder = Path(name)
        write_files(folder, _files(project, units))
        make(folder, "firmware.elf", toolchain=room.toolchain)
        for program, unit in zip(programs, [*units, None], strict=True):
            types = [tensor.type for tensor in program.inputs]
            values = unit.values if unit is not None and unit.values else [noise(each)[0] for each in types]
            content = b"".join(array.tobytes() for array in (*values, *map(_zeros, types)))
            (folder / f"{program.model}_input.bin").write_bytes(content)
        emulate(folder / "firmware.elf", room, folder)
        found = [_read(folder, program, room) for program in programs[: len(units)]]
        if any(each.library for each in found):
            _link_in_ram(folder, project, found)
            emulate(folder / "firmware.elf", room, folder)
        pairs = zip(found, programs, strict=False)
        return [replace(each, far_instructions=_executed(folder, program.model, room)[0]) for each, program in pairs]


def _link_in_ram(folder: Path, project: Project, found: Sequence[Measured]) -> None:
    """Link the firmware again, with the layers' functions in RAM and what they call of the C library in flash."""
    room = project.board
    code = [section for each in found for section in each.sections if section.is_code]
    names = tuple(dict.fromkeys(section.name for section in code))
    copies = (Copy("code", room.ram, names, sum(section.bytes for section in code)),)
    project = replace(project, copies=copies, layout=replace(project.layout, fast=(room.ram,)))
    write_files(folder, emit_linker_scripts(project) | {"Makefile": emit_makefile(project, UNKNOWN_STACK_BYTES)})
    for source in room.toolchain.startup:
        (folder / "build" / "firmware" / f"{source.stem}.o").unlink(missing_ok=True)
    make(folder, "firmware.elf", toolchain=room.toolchain)


def laboratory(board: Board) -> Board:
    """An emulated board with the core and the compiler's flags of another one, and room for many models."""
    emulated = board.emulated()
    if emulated is None or board.is_host:
        raise ValueError(f"nothing emulates {board.name}")
    return replace(emulated, core=board.core, cflags=board.cflags, link_flags=board.link_flags)


def _zeros(t: TensorType) -> Array:
    """What means zero, everywhere."""
    return np.full(t.shape, t.quant.zero_point if t.quant is not None and t.quant.is_per_tensor else 0, t.dtype.carrier)


def _files(project: Project, units: Sequence[Unit]) -> dict[str, str]:
    """Of a firmware in which GCC must assume that a layer's shared functions have other callers, too."""
    files = emit_project(project)
    for program, unit in zip(project.programs, units, strict=False):
        if unit.shared:
            callers = ", ".join(f"(void (*)(void)){name}" for name in sorted(unit.shared))
            text = f"\nextern void (*const {program.model}_shared[])(void);\n"
            files[f"{program.model}.c"] += f"{text}void (*const {program.model}_shared[])(void) = {{{callers}}};\n"
    return files


def _executed(folder: Path, model: str, board: Board) -> tuple[int, int]:
    """Instructions for values, and for zeros."""
    stats, qemu = np.fromfile(folder / f"{model}_stats.bin", np.uint32), board.qemu
    if qemu is None or stats.size != 6 or stats[0] or stats[3]:
        raise ToolFailedError(f"measuring a layer failed with status {stats[::3].tolist()}", where=str(folder))
    return qemu.instructions(int(stats[1])), qemu.instructions(int(stats[4]))


def _read(folder: Path, program: Program, board: Board) -> Measured:
    model = program.model
    executed, of_zeros = _executed(folder, model, board)
    graph = folder / "build" / f"{model}.ci"
    content = ObjectFile.read(folder / "build" / f"{model}.o")
    function = program.layers[0].function
    own, library = content.reached(function)
    return Measured(
        executed,
        stack_from([graph], f"{model}_invoke", board),
        sum(each.bytes for each in content.sections.values() if each.name == f"{model}_infer"),
        tuple(content.functions(function)),
        tuple(each for each in own if not each.name.startswith(f"{model}_")),
        tuple(name for name in library if not name.startswith(f"{model}_")),
        abs(executed - of_zeros) > VARIES * executed,
    )

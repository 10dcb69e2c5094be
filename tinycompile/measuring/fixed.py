"""What a firmware has beside its layers: start-up, `main`, the model's interface, and of the C library what it calls.

A firmware whose model computes nothing is linked for the board, with the same library functions, once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.codegen.copies import Copy
from tinycompile.codegen.emit import UNKNOWN_STACK_BYTES, emit_project
from tinycompile.codegen.parts import NamedConstant
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.elf import sizes
from tinycompile.kernels.base import Constant
from tinycompile.layout import Layout
from tinycompile.measuring.unit import nothing
from tinycompile.report.collect import firmware_stack, stack_from
from tinycompile.staging import write_files
from tinycompile.targets import Board, Memory
from tinycompile.temporary import TemporaryFolder
from tinycompile.toolchain import make

CONSTANT_TABLE_BYTES = 8
"""Of each constant array, in the table by which `<model>_check` finds them."""

_MODEL = "nothing"
_DEEP = 1 << 20
"""Bytes of stack that no firmware needs."""


@dataclass(frozen=True)
class Fixed:
    """Of a board, with some functions of the C library.

    Attributes:
        flash_bytes: without constants and layers.
        ram_bytes: without arena, states, stack and copies.
        stack_bytes: with a model that computes nothing. above_bytes: of what calls `<model>_invoke`, the deepest.
    """

    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    above_bytes: int

    def as_json(self) -> list[Any]:
        """See `of_json`."""
        return [self.flash_bytes, self.ram_bytes, self.stack_bytes, self.above_bytes]

    @staticmethod
    def of_json(facts: list[Any]) -> Fixed:
        """What `as_json` has made."""
        return Fixed(*facts)


@dataclass(frozen=True)
class Firmware:
    """One whose model computes nothing.

    Attributes:
        program: the model. files: all of it, from which its figures follow.
    """

    board: Board
    program: Program
    files: Mapping[str, str]


def firmware(board: Board, layout: Layout, library: tuple[str, ...], copies: Memory | None) -> Firmware:
    """Print it.

    Args:
        library: functions that layers need. copies: where start-up copies code to, if it does.
    """
    program = nothing(board.core).program(_MODEL, board)
    # Two of them, so that the loop over the table is one.
    held = [Constant(f"held_{i}", "int8_t", np.arange(4, dtype=np.int8) + np.int8(i)) for i in range(2)]
    program = replace(program, constants=tuple(NamedConstant(f"{_MODEL}_{h.suffix}", h, _MODEL) for h in held))
    copied = () if copies is None else (Copy("code", copies, ("none_of_them",), 0),)
    layout = layout if copies is None else replace(layout, fast=(copies,))
    project = Project(board, layout, (program,), (Provenance(_MODEL, "0" * 64),), copied)
    files = emit_project(project)
    script = f"firmware/{board.name}.ld"
    files[script] += f"EXTERN({' '.join(library)})\n" if library else ""
    return Firmware(board, program, files)


def fixed(printed: Firmware) -> Fixed:
    """Build it.

    Raises:
        ToolMissingError: no compiler. ToolFailedError: it failed.
    """
    board, named = printed.board, printed.program.constants
    with TemporaryFolder("fixed") as name:
        folder = Path(name)
        write_files(folder, printed.files)
        make(folder, "firmware.elf", toolchain=board.toolchain)
        found = sizes(folder / "firmware.elf", [each.name for each in named], board.toolchain.stored_sections)
        stack, above = firmware_stack(folder, board), _above(folder, board)
    flash = found.flash - found.weights - CONSTANT_TABLE_BYTES * len(named)
    ram = found.ram - printed.program.arena_bytes - UNKNOWN_STACK_BYTES - sum(found.copied.values())
    return Fixed(flash, ram, stack, above)


def _above(folder: Path, board: Board) -> int:
    """Stack of what calls the model: of the firmware, were it deepest there, without the model's own."""
    graph = folder / "build" / f"{_MODEL}.ci"
    text, own = graph.read_text(), stack_from([graph], f"{_MODEL}_invoke", board)
    node = rf'(node: \{{ title: "{_MODEL}_invoke" label: "[^"]*?)(\d+)( bytes)'
    graph.write_text(re.sub(node, lambda found: f"{found[1]}{int(found[2]) + _DEEP}{found[3]}", text))
    return firmware_stack(folder, board) - _DEEP - own

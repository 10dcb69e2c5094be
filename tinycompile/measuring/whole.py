"""A network measured as a whole: its C is what a build would have, compiled and linked as a build is, and run once.

That is exact: GCC specialises functions for all of their callers in a file, and keeps registers by what these use, so
what layers take alone isn't quite what they take together.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.project import Project, Provenance
from tinycompile.disk_cache import DiskCache, digest
from tinycompile.elf import COPIED_SECTIONS, sizes
from tinycompile.emulator import execute
from tinycompile.fast_memory import compiled
from tinycompile.layout import Layout
from tinycompile.lowered import Lowered
from tinycompile.lowering import project_of
from tinycompile.measuring.known import Measures
from tinycompile.options import Calibration, Options
from tinycompile.planner import Planned
from tinycompile.progress import step
from tinycompile.samples import noise
from tinycompile.staging import write_files
from tinycompile.targets import Board
from tinycompile.toolchain import make

_CACHE = DiskCache("networks", limit=16 << 20)
_SAMPLES = 4
"""Inferences that are counted: pools and functions of floats execute more or less by values."""


@dataclass(frozen=True)
class Whole:
    """What a network's firmware takes.

    Attributes:
        instructions: of an inference, the mean of some; 0 where QEMU doesn't run the board's firmware.

    The others are what `Cost` has estimates of.
    """

    instructions: int
    stack_estimate_bytes: int
    fast_code_estimate_bytes: int
    fast_weights_estimate_bytes: int
    other_estimate_bytes: int
    weights_bytes: int
    code_estimate_bytes: int

    @property
    def flash_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.code_estimate_bytes


def measured_whole(name: str, planned: Planned, layout: Layout, board: Board, options: Options) -> Whole:
    """Compile, link and run a network, or remember that this was done before.

    Args:
        name: of the network in C. planned: with the weights that it would be built with.
        options: how it would be built; with none of those that layers can't be measured with.

    Raises:
        ToolMissingError: no compiler, or no QEMU. ToolFailedError: one of them failed. RegionOverflowError: the linker
            has no room for it.
    """
    lowered = Lowered(name, Path(name), {}, planned)
    project = project_of(board, layout, [lowered], origins=(Provenance("network", "0" * 64),))
    files = emit_project(project)
    text = (part.encode() for pair in sorted(files.items()) for part in pair)
    about = replace(options, calibration=Calibration())  # whose samples it isn't compiled from
    key = digest(Measures.of(board).tools.encode(), repr(about).encode(), *text)
    stored = _CACHE.get(key)
    if stored is None:
        step("measuring a network: compiling it")
        stored = json.dumps(astuple(_measured(project, files, options))).encode()
        _CACHE.put(key, stored)
    return Whole(*json.loads(stored))


def _measured(project: Project, files: dict[str, str], options: Options) -> Whole:
    board, (program,) = project.board, project.programs
    emulated = board.emulated()
    with tempfile.TemporaryDirectory(prefix="tinycompile-network-") as name:
        folder = Path(name)
        write_files(folder, files)
        project, stack = compiled(project, folder, options)
        images = ["firmware.elf", *(["firmware_qemu.elf"] if emulated not in (None, board) else [])]
        make(folder, *images, toolchain=board.toolchain)
        found = sizes(folder / "firmware.elf", program.weight_symbols(), board.toolchain.stored_sections)
        copies = Counter[str]()
        for section, size in found.copied.items():
            copies[section.removeprefix(COPIED_SECTIONS).partition("_")[0]] += size
        known = project.arena_bytes + project.scratch_bytes + project.state_bytes + stack + copies.total()
        instructions = 0
        if emulated is not None:
            outputs = [tensor.type for tensor in program.outputs]
            given = program.inputs if program.streamed_input is None else (program.streamed_input,)
            inputs = [noise(tensor.type, _SAMPLES) for tensor in given]
            counts = execute(folder / images[-1], emulated, inputs, outputs).instructions
            instructions = round(sum(counts) / len(counts))
    rest = found.ram - known, found.weights, found.flash - found.weights
    return Whole(instructions, stack, copies["code"], copies["weights"], *rest)

"""A network measured as a whole: its C is what a build would have, compiled and linked as a build is, and run once.

That is exact: GCC specialises functions for all of their callers in a file, and keeps registers by what these use, so
what layers take alone isn't quite what they take together.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.codegen.slimmable import with_widths
from tinycompile.disk_cache import DiskCache, digest
from tinycompile.elf import COPIED_SECTIONS, sizes
from tinycompile.emulator import execute
from tinycompile.fast_memory import compiled
from tinycompile.layout import Layout
from tinycompile.lowered import Lowered
from tinycompile.lowering import project_of
from tinycompile.measuring.known import Measures
from tinycompile.options import Calibration, Options
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
        narrower: the same of its other widths.

    The others are what `Cost` has estimates of.
    """

    instructions: int
    stack_estimate_bytes: int
    fast_code_estimate_bytes: int
    fast_weights_estimate_bytes: int
    other_estimate_bytes: int
    weights_bytes: int
    code_estimate_bytes: int
    narrower: tuple[int, ...] = ()

    @property
    def flash_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.code_estimate_bytes


def measured_whole(models: Sequence[Lowered], layout: Layout, board: Board, options: Options) -> Whole:
    """Compile, link and run a network, or remember that this was done before.

    Args:
        models: the network with the weights that it would be built with; or its widths, the widest first.
        options: how it would be built; with none of those that layers can't be measured with.

    Raises:
        ToolMissingError: no compiler, or no QEMU. ToolFailedError: one of them failed. RegionOverflowError: the linker
            has no room for it.
    """
    project = project_of(board, layout, models, origins=(Provenance("network", "0" * 64),) * len(models))
    project = with_widths(project, options.width_labels)
    files = emit_project(project)
    text = (part.encode() for pair in sorted(files.items()) for part in pair)
    about = replace(options, calibration=Calibration())  # whose samples it isn't compiled from
    kept = [field.name for field in fields(Whole)]  # by which what an older version kept is another's
    key = digest(repr(kept).encode(), Measures.of(board).tools.encode(), repr(about).encode(), *text)
    stored = _CACHE.get(key)
    if stored is None:
        step("measuring a network: compiling it")
        stored = json.dumps(asdict(_measured(project, files, options))).encode()
        _CACHE.put(key, stored)
    found = Whole(**json.loads(stored))
    return replace(found, narrower=tuple(found.narrower))


def _measured(project: Project, files: dict[str, str], options: Options) -> Whole:
    board, programs = project.board, project.programs
    emulated = board.emulated()
    with tempfile.TemporaryDirectory(prefix="tinycompile-network-") as name:
        folder = Path(name)
        write_files(folder, files)
        project, stack = compiled(project, folder, options)
        images = ["firmware.elf", *(["firmware_qemu.elf"] if emulated not in (None, board) else [])]
        make(folder, *images, toolchain=board.toolchain)
        weights = [symbol for program in programs for symbol in program.weight_symbols()]
        found = sizes(folder / "firmware.elf", weights, board.toolchain.stored_sections)
        copies = Counter[str]()
        for section, size in found.copied.items():
            copies[section.removeprefix(COPIED_SECTIONS).partition("_")[0]] += size
        known = project.arena_bytes + project.scratch_bytes + project.state_bytes + stack + copies.total()
        counts = [0] * len(programs)
        if emulated is not None:
            counts = [_executed(folder / images[-1], emulated, each, alone=len(programs) == 1) for each in programs]
    rest = found.ram - known, found.weights, found.flash - found.weights
    return Whole(counts[0], stack, copies["code"], copies["weights"], *rest, tuple(counts[1:]))


def _executed(image: Path, board: Board, program: Program, *, alone: bool) -> int:
    """Instructions of an inference of one of a firmware's networks, the mean of some; `alone`: it has no other."""
    outputs = [tensor.type for tensor in program.outputs]
    given = program.inputs if program.streamed_input is None else (program.streamed_input,)
    inputs = [noise(tensor.type, _SAMPLES) for tensor in given]
    counts = execute(image, board, inputs, outputs, prefix="" if alone else f"{program.model}_").instructions
    return round(sum(counts) / len(counts))

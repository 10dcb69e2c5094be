"""The pipeline: model file in, output folder out."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tinycompile.build import Build
from tinycompile.codegen.emit import Provenance, emit_project
from tinycompile.codegen.names import identifier
from tinycompile.codegen.program import Program, build_program
from tinycompile.errors import DoesNotFitError, UsageError
from tinycompile.frontend import load
from tinycompile.kernels import kernels_for
from tinycompile.passes import optimize as optimize_graph
from tinycompile.passes.io import int8_io
from tinycompile.planner import plan
from tinycompile.report.collect import collect_report
from tinycompile.report.document import save_report
from tinycompile.staging import staged, write_files
from tinycompile.targets import Board, load_board
from tinycompile.toolchain import make, require
from tinycompile.work import Work, work_of

IO_CHOICES = ("model", "int8")
OPTIMIZE_CHOICES = ("speed", "balanced", "size", "ram")


@dataclass(frozen=True)
class Options:
    """How to compile.

    Attributes:
        target: a board of `board_support/`.
        io: "model" keeps the model's own input and output types, "int8" strips float conversions at its edges.
        optimize: what to prefer where kernels trade instructions for flash or scratch memory.
        ram: limit for the arena in bytes; None for what the target has.
        board_path: a folder with more boards than those of `board_support/`.
        single_file: whether the model is wanted as one C file, too.
    """

    target: str = "stm32f746"
    io: str = "model"
    optimize: str = "balanced"
    ram: int | None = None
    board_path: Path | None = None
    single_file: bool = False

    def check(self) -> None:
        for name, value, choices in (("io", self.io, IO_CHOICES), ("optimize", self.optimize, OPTIMIZE_CHOICES)):
            if value not in choices:
                raise UsageError(f"--{name} {value!r} is unknown", hint=f"one of: {', '.join(choices)}")


def compile(  # noqa: A001 - the public verb is the name
    model: str | Path,
    target: str = "stm32f746",
    *,
    output: str | Path | None = None,
    io: str = "model",
    optimize: str = "balanced",
    ram: int | None = None,
    board_path: str | Path | None = None,
    single_file: bool = False,
) -> Build:
    """Compile a model to C and firmware.

    Args:
        model: path of a `.tflite` file.
        single_file: also write `single/<model>.c` and `.h`, with the kernels and weights in the one C file.
        board_path: a folder with more boards, as docs/adding_a_board.md describes them.
        output: folder to create or replace; None for a temporary one that lives as long as the result.

    Raises:
        TinycompileError: with where, what, why and what to try; `output` is then as it was before.
    """
    options = Options(target, io, optimize, ram, None if board_path is None else Path(board_path), single_file)
    options.check()
    board, source = load_board(target, options.board_path), Path(model)
    require(board.compiler)
    nominal, program = lower(source, board, options)
    origin = Provenance(source.name, hashlib.sha256(source.read_bytes()).hexdigest())

    temporary = tempfile.TemporaryDirectory(prefix="tinycompile-") if output is None else None
    folder = Path(temporary.name) / program.model if temporary else Path(str(output))
    with staged(folder) as staging:
        write_files(staging, emit_project(program, board, origin, single=single_file))
        (staging / "source").mkdir()
        shutil.copyfile(source, staging / "source" / source.name)
        make(staging, "all", compiler=board.compiler)
        save_report(staging, collect_report(staging, program, board, options, origin, nominal))
    return Build(folder, temporary)


def lower(source: Path, board: Board, options: Options) -> tuple[dict[str, Work], Program]:
    """Everything up to printing: import, optimise, choose kernels, plan memory, name. Also the model's own work."""
    graph = load(source)
    if options.io == "int8":
        graph = int8_io(graph)
    nominal = work_of(graph)
    graph = optimize_graph(graph)
    planned = plan(
        graph,
        kernels_for(graph, board.isa),
        ram_limit=options.ram or board.ram.bytes,
        optimize=options.optimize,
    )
    name = identifier(source.stem, set(), "model")
    kernels = [
        replace(kernel, notes={**kernel.notes, "chosen": reason})
        for kernel, reason in zip(planned.kernels, planned.reasons, strict=True)
    ]
    program = build_program(name, planned.graph, kernels, planned.offsets, planned.scratch_offsets, planned.arena_bytes)
    if options.ram is not None and program.arena_bytes > options.ram:
        raise DoesNotFitError(f"the arena needs {program.arena_bytes} bytes, --ram allows {options.ram}")
    return nominal, program

"""The pipeline: model file in, output folder out."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
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
from tinycompile.quantize.source import Calibration, compiled_source, save_source
from tinycompile.report.collect import collect_report
from tinycompile.report.document import save_report
from tinycompile.staging import staged, write_files
from tinycompile.targets import Board, load_board
from tinycompile.toolchain import make, require
from tinycompile.work import Work, work_of

IO_CHOICES = ("model", "int8")
LAYOUT_CHOICES = ("model", "nhwc")
OPTIMIZE_CHOICES = ("speed", "balanced", "size", "ram")


@dataclass(frozen=True)
class Options:
    """How to compile.

    Attributes:
        target: a board of `board_support/`.
        io: "model" keeps the model's own input and output types, "int8" strips float conversions at its edges.
        optimize: what to prefer where kernels trade instructions for flash or scratch memory.
        ram: limit for the arena in bytes; None for what the target has.
        layout: of 4-D ONNX inputs and outputs: "model" or "nhwc".
        shapes: (name, shape) of ONNX inputs with dynamic dimensions.
    """

    target: str = "stm32f746"
    io: str = "model"
    optimize: str = "balanced"
    ram: int | None = None
    layout: str = "model"
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def check(self) -> None:
        chosen = (
            ("io", self.io, IO_CHOICES),
            ("optimize", self.optimize, OPTIMIZE_CHOICES),
            ("layout", self.layout, LAYOUT_CHOICES),
        )
        for name, value, choices in chosen:
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
    layout: str = "model",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    calib: str | Path | None = None,
    calib_method: str = "auto",
    evaluation: str | Path | None = None,
) -> Build:
    """Compile a model to C and firmware.

    Args:
        model: path of a `.tflite` or `.onnx` file.
        output: folder to create or replace; None for a temporary one that lives as long as the result.
        layout: of 4-D inputs and outputs of ONNX models: "model" keeps theirs, "nhwc" has channels last.
        shapes: of ONNX inputs with dynamic dimensions other than the batch, by name.
        calib: `.npz` with samples of a float ONNX model's inputs; the model is quantised with them.
        calib_method: "auto", "minmax", "percentile" or "mse".
        evaluation: `.npz` with labelled samples, on which float and int8 accuracy are measured.

    Raises:
        TinycompileError: with where, what, why and what to try; `output` is then as it was before.
    """
    options = Options(target, io, optimize, ram, layout, tuple((shapes or {}).items()))
    options.check()
    board = load_board(target)
    if board.isa.core != "host":
        require("arm-none-eabi-gcc")
    calibration = Calibration(_path(calib), calib_method, _path(evaluation))
    with compiled_source(Path(model), calibration, shapes or {}) as (source, quantization):
        nominal, program = lower(source, board, options, Path(model).stem)
        origin = Provenance(source.name, hashlib.sha256(source.read_bytes()).hexdigest())
        temporary = tempfile.TemporaryDirectory(prefix="tinycompile-") if output is None else None
        folder = Path(temporary.name) / program.model if temporary else Path(str(output))
        with staged(folder) as staging:
            write_files(staging, emit_project(program, board, origin))
            (staging / "source").mkdir()
            save_source(source, staging / "source" / source.name)
            make(staging, "all")
            report = collect_report(staging, program, board, options, origin, nominal)
            save_report(staging, report | ({} if quantization is None else {"quantization": quantization}))
    return Build(folder, temporary)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def lower(source: Path, board: Board, options: Options, stem: str | None = None) -> tuple[dict[str, Work], Program]:
    """Everything up to printing: import, optimise, choose kernels, plan memory, name. Also the model's own work.

    Args:
        stem: what the model is called, by default as its file.
    """
    graph = load(source, dict(options.shapes), options.layout)
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
    name = identifier(stem or source.stem, set(), "model")
    kernels = [
        replace(kernel, notes={**kernel.notes, "chosen": reason})
        for kernel, reason in zip(planned.kernels, planned.reasons, strict=True)
    ]
    program = build_program(name, planned.graph, kernels, planned.offsets, planned.scratch_offsets, planned.arena_bytes)
    if options.ram is not None and program.arena_bytes > options.ram:
        raise DoesNotFitError(f"the arena needs {program.arena_bytes} bytes, --ram allows {options.ram}")
    return nominal, program

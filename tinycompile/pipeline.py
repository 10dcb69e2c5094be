"""The pipeline: model files in, output folder out."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tinycompile.build import Build
from tinycompile.codegen.blob import HEADER_BYTES as WEIGHTS_HEADER_BYTES
from tinycompile.codegen.emit import emit_makefile, emit_project, identified, weights_files
from tinycompile.codegen.interface import SourceFacts, changes
from tinycompile.codegen.names import model_identifier
from tinycompile.codegen.program import Program, build_program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.codegen.reserved import API
from tinycompile.compatible import adopted, with_weights
from tinycompile.elf import check_machine
from tinycompile.errors import UsageError
from tinycompile.frontend import is_onnx, load
from tinycompile.frontend.survey import Survey, survey
from tinycompile.ir import Graph
from tinycompile.kernels.base import Constant
from tinycompile.labels import read_labels
from tinycompile.layout import Layout, check_attributes, choose_ram, cold_constants, weights_memory
from tinycompile.lowered import Lowered
from tinycompile.options import Options
from tinycompile.passes import optimize as optimize_graph
from tinycompile.passes.eliminate_channels import eliminating_the_same
from tinycompile.passes.io import int8_io
from tinycompile.passes.stream_input import stream_input
from tinycompile.planner import Planned
from tinycompile.planner.pareto import Point, front
from tinycompile.plans import Plans
from tinycompile.predecessor import FOLDER as PREDECESSOR
from tinycompile.predecessor import Predecessor
from tinycompile.progress import step
from tinycompile.quantize.source import Calibration, compiled_source, save_source
from tinycompile.report.collect import collect_report, firmware_stack
from tinycompile.report.facts import source_graph
from tinycompile.report.html import memory_svg
from tinycompile.report.saving import save_report
from tinycompile.staging import check_output, staged, write_files
from tinycompile.targets import BOARDS_FOLDER, Board, copy_boards
from tinycompile.toolchain import make, require
from tinycompile.work import Work, node_macs, work_of

QUICK_NODES = 20
"""Up to so many nodes schedules with less RAM are found in about a second."""


def compile(  # noqa: A001 - the public verb is the name
    model: str | Path,
    target: str = "stm32f746",
    *,
    output: str | Path | None = None,
    io: str = "model",
    optimize: str = "balanced",
    ram: int | None = None,
    schedule: str = "auto",
    input_stream: str = "none",
    board_path: str | Path | None = None,
    single_file: bool = False,
    pareto: bool | None = False,
    layout: str = "model",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    dtype: str = "int8",
    strict_int8: bool = False,
    calib: str | Path | None = None,
    calib_method: str = "auto",
    evaluation: str | Path | None = None,
    weights: str = "embedded",
    signature: str | None = None,
    align: str = "auto",
    flash_offset: int = 0,
    force: bool = False,
    labels: str | Path | None = None,
    updatable: bool = False,
    compatible_with: str | Path | None = None,
) -> Build:
    """Compile a model to C and firmware.

    Args:
        model: path of a `.tflite` or `.onnx` file.
        single_file: also write `single/<model>.c` and `.h`, with the kernels and weights in the one C file.
        pareto: also look for schedules with less RAM, for the report; None for where that is quick.
        board_path: a folder with more boards, as docs/adding_a_board.md describes them.
        output: folder to create, or of an earlier build, whose unchanged files are replaced; other files stay. None for
            a temporary one that lives as long as the result.
        layout, shapes, dtype, strict_int8: for ONNX models, see `Options`.
        calib: `.npz` with samples of a float ONNX model's inputs; the model is quantised with them.
        calib_method: "auto", "minmax", "percentile" or "mse".
        evaluation: `.npz` with labelled samples, on which float and int8 accuracy are measured.
        signature: whose subgraph of a `.tflite` file is compiled; None for the main one. Inputs and outputs are in the
            subgraph's order.
        align: "strict" loads and stores words only where they are aligned; "auto" does what board.toml says.
        flash_offset: bytes at the start of the flash that a bootloader has.
        weights: "separate" puts them into a file of their own, see docs/separate_weights.md.
        force: replace generated files in `output` that were edited, and take a folder that no build made.
        labels: text file with the name of a class on each line, for the header.
        updatable: keeps channels that are constant with these separate weights, so that others fit the code as well.
        compatible_with: folder of an older build with separate weights: the new ones fit its code, or the error names
            what doesn't. Its options are taken over.

    Raises:
        TinycompileError: with where, what, why and what to try; `output` is then as it was before.
    """
    options = Options(
        target=target,
        io=io,
        optimize=optimize,
        ram=ram,
        schedule=schedule,
        input_stream=input_stream,
        board_path=_path(board_path),
        single_file=single_file,
        pareto=pareto,
        layout=layout,
        shapes=tuple((shapes or {}).items()),
        dtype=dtype,
        strict_int8=strict_int8,
        weights=weights,
        signature=signature,
        align=align,
        flash_offset=flash_offset,
        labels=() if labels is None else (Path(labels),),
        updatable=updatable,
        compatible_with=_path(compatible_with),
        calibration=Calibration(_path(calib), calib_method, _path(evaluation)),
    )
    return compile_together([model], options, output=output, force=force)[0]


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


@contextmanager
def quantized_sources(
    models: Sequence[str | Path], options: Options
) -> Generator[list[tuple[Path, dict[str, Any] | None]]]:
    """(file to compile, what quantisation measured) of each model."""
    if options.dtype == "float32" and not any(is_onnx(Path(model)) for model in models):
        why = "a .tflite file says itself how it computes"
        raise UsageError("--dtype float32 is for .onnx models", where=str(models[0]), why=why)
    calibration = replace(options.calibration, room=options.weights == "separate")
    with ExitStack() as stack:
        shapes = dict(options.shapes)
        yield [stack.enter_context(compiled_source(Path(m), calibration, shapes)) for m in models]


def compile_together(
    models: Sequence[str | Path], options: Options, *, output: str | Path | None = None, force: bool = False
) -> list[Build]:
    """Compile one or several models to one firmware, in which they share an arena as large as the largest needs.

    Returns:
        A build per model, all of the same folder.

    Raises:
        TinycompileError: as for `compile`.
    """
    options.check()
    if output is not None:
        check_output(Path(output), force=force)  # before minutes are spent
    predecessor = None if options.compatible_with is None else Predecessor.read(options.compatible_with)
    if predecessor is not None:
        options = predecessor.options(options)
    board = options.board()
    require(board.compiler, board.toolchain)
    with quantized_sources(models, options) as sources:
        files = [source for source, _ in sources]
        if predecessor is None:
            lowered, layout = lower(files, board, options)
        else:
            lowered, layout = lower_like(predecessor, files, board, options)
        lowered = [
            replace(each, quantization=found)
            for each, (_, found) in zip(_with_sources(lowered, options), sources, strict=True)
        ]
        return _build(board, layout, lowered, options, output, force, predecessor)


def _with_sources(models: Sequence[Lowered], options: Options) -> list[Lowered]:
    """With what the models' files say and the passes forgot, and the labels of those for which a file was given."""
    if len(options.labels) > len(models):
        raise UsageError(f"--labels was given {len(options.labels)} times for {len(models)} models")
    found = list[Lowered]()
    for lowered, labels in zip_longest(models, options.labels):
        graph = lowered.planned.graph
        shapes = [graph.types[name].shape for name in graph.outputs]
        names = lowered.facts.labels if labels is None else read_labels(labels, shapes)
        file = survey(lowered.source, dict(options.shapes), options.signature)
        facts = replace(source_facts(lowered.source, file, options), labels=names)
        found.append(replace(lowered, facts=facts, source_graph=source_graph(file, graph)))
    return found


def source_facts(path: Path, found: Survey, options: Options) -> SourceFacts:
    """What a caller is told of inputs and outputs: the file's own names, the order of their axes."""
    layout = "model" if is_onnx(path) and options.layout == "model" else "NHWC"
    inputs, outputs = (tuple(tensor.name for tensor in tensors) for tensors in (found.inputs, found.outputs))
    return SourceFacts(inputs, outputs, layout, ties_even=is_onnx(path))


def _build(
    board: Board,
    layout: Layout,
    lowered: Sequence[Lowered],
    options: Options,
    output: str | Path | None,
    force: bool,
    predecessor: Predecessor | None,
) -> list[Build]:
    """Print, compile and report."""
    project = project_of(board, layout, lowered, separate=options.weights == "separate")
    temporary = tempfile.TemporaryDirectory(prefix="tinycompile-") if output is None else None
    folder = Path(temporary.name) / project.programs[0].model if temporary else Path(str(output))
    with staged(folder, force=force) as staging:
        step("printing C")
        write_files(staging, emit_project(project, single=options.single_file) | weights_files(project))
        (staging / "source").mkdir()
        if options.board_path is not None:
            copy_boards(options.board_path, staging / BOARDS_FOLDER, board, board.emulated())
        for each in lowered:
            save_source(each.source, staging / "source" / each.source.name)
        if predecessor is not None:
            (staging / PREDECESSOR).mkdir()
            save_source(predecessor.source, staging / PREDECESSOR / predecessor.source.name)
        step("compiling")
        stack = 0
        if not board.is_host:
            make(staging, "objects", toolchain=board.toolchain)
            stack = firmware_stack(staging, board)
            (staging / "Makefile").write_text(emit_makefile(project, stack))
        make(staging, "all", toolchain=board.toolchain)
        if not board.is_host:
            check_machine(staging / "firmware.elf", board.toolchain)
        report = collect_report(staging, project, lowered, options, stack)
        if predecessor is not None:
            report["compatible_with"] = {"file": predecessor.source.name, "graph": predecessor.graph}
        for each in report.get("models", [report]):
            (staging / f"{each['model']}_memory.svg").write_text(memory_svg(each))
        save_report(staging, report)
    return [Build(folder, temporary, each.name) for each in lowered]


def pareto_fronts(sources: Sequence[Path], board: Board, options: Options) -> list[tuple[str, list[Point]]]:
    """For each model, by name, the schedules among which RAM and instructions trade."""
    return [(name, _front(plans)) for name, _, _, plans in _loaded(sources, board, options)]


def lower(sources: Sequence[Path], board: Board, options: Options) -> tuple[list[Lowered], Layout]:
    """Everything up to naming: import, optimise, choose kernels, plan memory. Models share the arena's memory."""
    loaded = _loaded(sources, board, options)

    def planner(schedule: str, ram_limit: int, scratch_limit: int | None, /) -> list[Planned]:
        return [plans.within(schedule, ram_limit, scratch_limit) for *_, plans in loaded]

    least = options.optimize == "ram" or (options.schedule in ("stream", "patch") and options.ram is None)
    schedule = "stream" if options.input_stream == "rows" else options.schedule
    again = options.optimize == "ram"
    step("placing tensors, choosing kernels and schedule")
    states = sum(plans.state_bytes for *_, plans in loaded)
    planned, layout = choose_ram(
        board, planner, options.ram, schedule=schedule, least=least, again=again, state_bytes=states
    )
    check_attributes(board, layout)
    return [
        Lowered(name, source, nominal, p, _front(plans) if _wants_front(options, p) else None)
        for (name, source, nominal, plans), p in zip(loaded, planned, strict=True)
    ], layout


def lower_like(
    predecessor: Predecessor, sources: Sequence[Path], board: Board, options: Options
) -> tuple[list[Lowered], Layout]:
    """The same for new weights of an older build: its kernels, schedule and places, with other constants.

    Raises:
        IncompatibleError: the model differs in more than its weights, or a layer's weights need other code.
    """
    if len(sources) != 1:
        raise UsageError("--compatible-with takes one model", hint="build them one by one")
    (before,), layout = lower([predecessor.source], board, options)
    known = SourceFacts(labels=predecessor.labels)
    before = replace(before, name=predecessor.model, facts=known)
    first = _program_of(before, board, layout, replace(options, labels=()))
    predecessor.check_code(first.graph_id.hex(), replanned=True)
    old = _imported(predecessor.source, options)
    graph = adopted(old, _imported(sources[0], options))
    nominal = work_of(graph)
    graph = optimize_graph(graph, () if options.updatable else (eliminating_the_same(optimize_graph(old, ())),))
    if options.input_stream == "rows":
        graph = stream_input(graph)
    planned = with_weights(before.planned, graph, board.core)
    lowered = Lowered(predecessor.model, sources[0], nominal, planned, facts=known)
    program = _program_of(lowered, board, layout, options)
    changed = changes(first.edges, program.edges, (first.facts.labels, program.facts.labels))
    predecessor.check_code(program.graph_id.hex(), replanned=False, changes=changed)
    return [lowered], layout


def _program_of(lowered: Lowered, board: Board, layout: Layout, options: Options) -> Program:
    """With separate weights."""
    return project_of(board, layout, _with_sources([lowered], options), separate=True).programs[0]


def _imported(source: Path, options: Options) -> Graph:
    """A model file as a graph, with the edges that were asked for."""
    graph = load(source, dict(options.shapes), options.layout, options.floats, options.signature)
    return int8_io(graph) if options.io == "int8" else graph


def _wants_front(options: Options, planned: Planned) -> bool:
    return len(planned.graph.nodes) <= QUICK_NODES if options.pareto is None else options.pareto


def _front(plans: Plans) -> list[Point]:
    step("looking for schedules with less RAM")
    return front(lambda limit: plans.layers(limit, None), plans.stages)


def _loaded(sources: Sequence[Path], board: Board, options: Options) -> list[tuple[str, Path, dict[str, Work], Plans]]:
    taken, loaded = set[str](), list[tuple[str, Path, dict[str, Work], Plans]]()
    if not sources:
        raise UsageError("no model was given")
    if board.is_host and len(sources) > 1:
        raise UsageError("a build for the host takes one model", hint="build them one by one")
    for source in sources:
        step(f"reading {source.name}")
        graph = _imported(source, options)
        nominal = work_of(graph)
        graph = optimize_graph(graph, ()) if options.updatable else optimize_graph(graph)
        if options.input_stream == "rows":
            graph = stream_input(graph)
        plans = Plans(graph, board, options)
        loaded.append((_named(source, taken), source, nominal, plans))
    return loaded


def _named(source: Path, taken: set[str]) -> str:
    """What the model is called in C, with a warning where that isn't its file's name."""
    name = model_identifier(source.stem, taken)
    if source.stem.lower() in name and source.stem.lower() != name:
        warnings.warn(
            f"{source.name} is called {name} in C: the name {source.stem} could collide with a header, an object or a "
            "name of another model",
            stacklevel=2,
        )
    return name


def project_of(board: Board, layout: Layout, models: Sequence[Lowered], *, separate: bool = False) -> Project:
    """Everything named, ready to be printed.

    Args:
        separate: whether the weights are apart from the code.

    Raises:
        TargetError: the board says no place for them. DoesNotFitError: it is too small.
    """
    kernels = [kernel for lowered in models for kernel in lowered.planned.kernels]
    cold = set[Constant]()
    if not separate:
        cold = cold_constants(board, kernels, [macs for lowered in models for macs in node_macs(lowered.planned.graph)])
    if cold:
        layout = replace(layout, cold=board.external_flash)
    origins = tuple(
        Provenance(lowered.source.name, hashlib.sha256(lowered.source.read_bytes()).hexdigest()) for lowered in models
    )
    taken = {f"{m.name}_{suffix}" for m in models for suffix in API}
    programs = tuple(
        build_program(m.name, m.planned, cold, separate=separate, taken=taken, alignment=board.alignment, facts=m.facts)
        for m in models
    )
    if separate:
        programs = tuple(identified(program, origin) for program, origin in zip(programs, origins, strict=True))
        if not board.is_host:
            sizes = sum(WEIGHTS_HEADER_BYTES + program.blob_bytes for program in programs)
            layout = replace(layout, weights=weights_memory(board, sizes))
    check_attributes(board, layout)
    return Project(board, layout, programs, origins)

"""The pipeline: model files in, output folder out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from tinycompile.build import Build
from tinycompile.codegen.emit import emit_project, weights_files
from tinycompile.codegen.slimmable import with_widths
from tinycompile.contribution.automatic import automatic
from tinycompile.core_choice import lower_for_cores
from tinycompile.elf import check_machine
from tinycompile.errors import DoesNotFitError, UsageError
from tinycompile.fast_memory import compiled
from tinycompile.layout import Layout
from tinycompile.lowered import Lowered
from tinycompile.lowering import lower_like, project_of, quantized_sources, with_sources
from tinycompile.model_source import save_source
from tinycompile.options import ATTEMPTS, CompileOptions, Options
from tinycompile.predecessor import FOLDER as PREDECESSOR
from tinycompile.predecessor import Predecessor
from tinycompile.progress import step
from tinycompile.report.collect import collect_report
from tinycompile.report.document import PARAMETERS
from tinycompile.report.html import memory_svg
from tinycompile.report.saving import save_report
from tinycompile.report.sections import as_json
from tinycompile.slimmable import overflow, with_widths_of
from tinycompile.staging import check_output, staged, write_files
from tinycompile.targets import BOARDS_FOLDER, Board, copy_boards
from tinycompile.temporary import TemporaryFolder
from tinycompile.toolchain import RegionOverflowError, make, require
from tinycompile.training.request import read_request
from tinycompile.with_backends import with_backends


def compile(  # noqa: A001 - the public verb is the name
    model: str | Path,
    target: str = "stm32f746",
    *,
    output: str | Path | None = None,
    force: bool = False,
    **options: Unpack[CompileOptions],
) -> Build:
    """Compile a model to C and firmware.

    Args:
        model: path of a `.tflite` or `.onnx` file.
        target: a board; `tinycompile targets` lists them.
        output: folder to create, or of an earlier build, whose unchanged files are replaced; other files stay. None for
            a temporary one that lives as long as the result.
        force: replace generated files in `output` that were edited, and take a folder that no build made.
        options: how to compile, all optional: `CompileOptions` lists them.

    Raises:
        TinycompileError: with where, what, why and what to try; `output` is then as it was before.
    """
    return compile_together([model], Options.of(target, **options), output=output, force=force)[0]


def compile_together(
    models: Sequence[str | Path],
    options: Options,
    *,
    output: str | Path | None = None,
    force: bool = False,
    beside: Mapping[str, bytes] | None = None,
) -> list[Build]:
    """Compile one or several models to one firmware, in which they share an arena as large as the largest needs.

    Args:
        beside: other files of the output folder, by relative path.

    Returns:
        A build per model, all of the same folder.

    Raises:
        TinycompileError: as for `compile`.
    """
    options.check()
    if options.widths:
        models, options = with_widths_of(models, options)
    if output is not None:
        check_output(Path(output), force=force)  # before minutes are spent
    if options.motion is not None:  # the file that it may be is the user's, and may change
        options = replace(options, frontend=options.motion.text)
    predecessor = None if options.compatible_with is None else Predecessor.read(options.compatible_with)
    if predecessor is not None:
        options = predecessor.options(options)
    if options.train is not None:  # likewise
        request = read_request(options.train, options.classes)
        options = replace(options, train=request.text, classes=request.classes)
    options = replace(options, backend=tuple(request.text for request in options.backends))  # likewise
    board = options.board()
    _check_harness(options, board, models)
    require(board.compiler, board.toolchain)
    with quantized_sources(models, options) as sources:
        files = [source for source, _ in sources]
        if options.train == "auto":
            options = automatic(files[0], options).applied(options)
        for attempt in range(ATTEMPTS):
            if predecessor is None:
                options, board, lowered, layout = lower_for_cores(files, options)
            else:
                lowered, layout = lower_like(predecessor, files, board, options)
            lowered = [
                replace(each, quantization=found)
                for each, (_, found) in zip(with_sources(lowered, options), sources, strict=True)
            ]
            try:
                return _build(board, layout, lowered, options, output, force, predecessor, beside or {})
            except (FirmwareTooLargeError, RegionOverflowError) as error:
                excess = _excess(error, board, options)
                if attempt == ATTEMPTS - 1 or predecessor is not None or not excess:
                    raise
                options = options.in_less_flash(excess, last=attempt == ATTEMPTS - 2)
                board = options.board()
    raise AssertionError("the last attempt returns or raises")


class FirmwareTooLargeError(DoesNotFitError):
    """A firmware exceeds `--flash`.

    Attributes:
        size: of the firmware. excess: by so many bytes.
    """

    def __init__(self, size: int, limit: int, options: Options) -> None:
        others = "" if options.optimize == "size" else "--optimize size, "
        if not options.compress_weights and options.weights == "embedded" and not options.widths:
            others += "--compress-weights, "
        super().__init__(
            f"the firmware takes {size:,} bytes of flash, --flash allows {limit:,}",
            why="kernels that need less than those chosen would not make up for it",
            hint=f"{others}a larger --flash, or a smaller model",
        )
        self.size, self.excess = size, size - limit


def _excess(error: FirmwareTooLargeError | RegionOverflowError, board: Board, options: Options) -> int:
    """By how many bytes less flash another plan has to do with; 0 where there is none."""
    return error.excess if isinstance(error, FirmwareTooLargeError) else overflow(error, board, options)


def _check_flash(report: dict[str, Any], options: Options) -> None:
    size = report.get("models", [report])[0]["flash"]["total_bytes"]
    if options.flash is not None and size > options.flash:
        raise FirmwareTooLargeError(size, options.flash, options)


def _build(
    board: Board,
    layout: Layout,
    lowered: Sequence[Lowered],
    options: Options,
    output: str | Path | None,
    force: bool,
    predecessor: Predecessor | None,
    beside: Mapping[str, bytes],
) -> list[Build]:
    """Print, compile and report."""
    separate, export = options.weights == "separate", options.gradient_export
    project = project_of(board, layout, lowered, separate=separate, export=export, cores=options.cores)
    project = with_widths(project, options.width_labels)
    project = with_backends(replace(project, harness=options.harness), lowered, options)
    temporary = TemporaryFolder() if output is None else None
    folder = Path(temporary.name) / project.programs[0].model if temporary else Path(str(output))
    with staged(folder, force=force) as staging:
        step("printing C")
        write_files(staging, emit_project(project, single=options.single_file) | weights_files(project) | dict(beside))
        (staging / "source").mkdir()
        if options.board_path is not None:
            copy_boards(options.board_path, staging / BOARDS_FOLDER, board, board.emulated())
        for each, origin in zip(lowered, project.origins, strict=True):
            save_source(each.source, staging / "source" / origin.source)
        if options.parameters is not None:
            save_source(options.parameters, staging / PARAMETERS)
        if predecessor is not None:
            (staging / PREDECESSOR).mkdir()
            save_source(predecessor.source, staging / PREDECESSOR / predecessor.source.name)
        step("compiling")
        stack = 0
        if not board.is_host:
            project, stack = compiled(project, staging, options)
        make(staging, "all", *(["harness"] if project.harness else []), toolchain=board.toolchain)
        if not board.is_host:
            check_machine(staging / "firmware.elf", board.toolchain)
        report = as_json(collect_report(staging, project, lowered, options, stack))
        _check_flash(report, options)
        if predecessor is not None:
            report["compatible_with"] = {"file": predecessor.source.name, "graph": predecessor.graph}
        for each in report.get("models", [report]):
            (staging / f"{each['model']}_memory.svg").write_text(memory_svg(each))
        save_report(staging, report)
    return [Build(folder, temporary, each.name) for each in lowered]


def _check_harness(options: Options, board: Board, models: Sequence[str | Path]) -> None:
    """Raises UsageError: several models, or no firmware at all."""
    if options.harness is not None and (board.is_host or len(models) > 1):
        raise UsageError(
            "--harness is for one model on a microcontroller",
            where=", ".join(map(str, models)),
            hint="--target with a board, and each model alone",
        )

"""The command line. Exit codes: 0 success, 1 firmware and reference disagree, 2 a mistake we can explain."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from tinycompile import __version__
from tinycompile.errors import TinycompileError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from tinycompile.pipeline import Options

P = ParamSpec("P")
FOLDER = click.Path(path_type=Path)


def _show_warning(message: Warning | str, *_args: object, **_kwargs: object) -> None:
    click.echo(f"warning: {message}", err=True)


def explained(command: Callable[P, None]) -> Callable[P, None]:
    """Turn our errors into a message and an exit code."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                warnings.simplefilter("always", UserWarning)
                command(*args, **kwargs)
        except TinycompileError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(130)

    return wrapper


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class Bytes(click.ParamType[int]):
    """A size in bytes: 65536, 64K, 1M."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text, factor = str(value).strip().upper().removesuffix("B").removesuffix("I"), 1
        for suffix, power in (("K", 1 << 10), ("M", 1 << 20)):
            if text.endswith(suffix):
                text, factor = text[:-1], power
        try:
            size = int(text) * factor
        except ValueError:
            self.fail(f"{value!r} is not a size; write 65536, 64K or 1M", param, ctx)
        if size <= 0:
            self.fail("a size must be positive", param, ctx)
        return size


class Shape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """A name and sizes: x=1,3,64,64."""

    name = "shape"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        if isinstance(value, tuple):
            return value
        name, _, sizes = str(value).rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.replace("x", ",").split(","))
        except ValueError:
            shape = ()
        if not name or not shape or min(shape) < 1:
            self.fail(f"{value!r} is no shape; write x=1,3,64,64", param, ctx)
        return name, shape


def _options(calib: Path | None, calib_method: str, evaluation: Path | None, **options: Any) -> Options:
    from tinycompile.pipeline import Options
    from tinycompile.quantize.source import Calibration

    return Options(**options, calibration=Calibration(calib, calib_method, evaluation))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tinycompile")
def main() -> None:
    """Trained models to bare-metal C for microcontrollers, bit for bit."""


def compile_options(command: Callable[P, None]) -> Callable[P, None]:
    """What `build` and `plan` have in common."""
    for option in reversed(
        (
            click.option("--target", default="stm32f746", show_default=True, help="Board; see `tinycompile targets`."),
            click.option(
                "--io", default="model", show_default=True, help="model: its own types; int8: no float edges."
            ),
            click.option("--optimize", default="balanced", show_default=True, help="speed, balanced, size or ram."),
            click.option("--ram", type=Bytes(), help="Limit for the arena, such as 64K.  [default: the target's RAM]"),
            click.option(
                "--schedule", default="auto", show_default=True, help="auto, layer (by layer) or stream (row by row)."
            ),
            click.option(
                "--input-stream", default="none", show_default=True, help="rows: the input comes through a callback."
            ),
            click.option("--board-path", type=FOLDER, help="Folder with boards of your own (docs/adding_a_board.md)."),
            click.option("--layout", default="model", show_default=True, help="Of ONNX images: model or nhwc."),
            click.option("--shape", "shapes", type=Shape(), multiple=True, help="Of an ONNX input: x=1,3,64,64."),
            click.option("--dtype", default="int8", show_default=True, help="int8, or float32 for float ONNX models."),
            click.option("--strict-int8", is_flag=True, help="An operator that can't run in 8 bits is an error."),
            click.option("--calib", type=FOLDER, help="Samples (.npz) to quantise a float ONNX model with."),
            click.option("--calib-method", default="auto", show_default=True, help="minmax, percentile, mse or auto."),
            click.option("--eval", "evaluation", type=FOLDER, help="Labelled samples (.npz: x, y) for the accuracy."),
        )
    ):
        command = option(command)
    return command


@main.command()
@click.argument("models", type=FOLDER, nargs=-1, required=True)
@compile_options
@click.option("-o", "--output", type=FOLDER, help="Folder to create or replace.  [default: build/<model>]")
@click.option("--single-file", is_flag=True, help="Also write single/<model>.c: kernels and weights in one C file.")
@explained
def build(models: tuple[Path, ...], output: Path | None, **options: Any) -> None:
    """Compile MODELS (.tflite, .onnx) to C and firmware; several share one arena."""
    from tinycompile.pipeline import compile_together
    from tinycompile.report.table import print_report

    folder = output if output is not None else Path("build") / "+".join(model.stem for model in models)
    for result in compile_together(models, _options(**options), output=folder):
        print_report(result.report, _console())
        for line in (result.report.get("quantization") or {}).get("summary", ()):
            click.echo(line)
    click.echo(f"written to {folder}")


@main.command()
@click.argument("models", type=FOLDER, nargs=-1, required=True)
@compile_options
@click.option("--pareto", is_flag=True, help="What less RAM costs: schedules from much RAM to little.")
@explained
def plan(models: tuple[Path, ...], pareto: bool, **options: Any) -> None:
    """Print where everything of MODELS would be in memory, without building."""
    from tinycompile.pipeline import lower, pareto_fronts, quantized_sources
    from tinycompile.report.pareto import front_lines
    from tinycompile.report.plan import plan_lines
    from tinycompile.targets import load_board

    chosen = _options(**options)
    chosen.check()
    board = load_board(chosen.target, chosen.board_path)
    with quantized_sources(models, chosen) as quantized:
        sources = [source for source, _ in quantized]
        if pareto:
            lines = (
                line for name, points in pareto_fronts(sources, board, chosen) for line in front_lines(name, points)
            )
        else:
            lines = plan_lines(*lower(sources, board, chosen))
        for line in lines:
            click.echo(line)


@main.command()
@click.argument("model", type=FOLDER)
@click.option("--calib", type=FOLDER, required=True, help="Samples (.npz) of real inputs.")
@click.option("-o", "--output", type=FOLDER, required=True, help="The QDQ model to write (.onnx).")
@click.option("--calib-method", default="auto", show_default=True, help="minmax, percentile, mse or auto.")
@click.option("--eval", "evaluation", type=FOLDER, help="Labelled samples (.npz: x, y) for the accuracy.")
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Of an input: x=1,3,64,64.")
@explained
def quantize(
    model: Path,
    calib: Path,
    output: Path,
    calib_method: str,
    evaluation: Path | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
) -> None:
    """Quantise a float ONNX MODEL to int8 and write it as an ONNX model with QuantizeLinear and DequantizeLinear."""
    from tinycompile.frontend.onnx_file import onnx_module
    from tinycompile.quantize import quantize as quantize_model

    result = quantize_model(model, calib, method=calib_method, shapes=dict(shapes), evaluation=evaluation)
    try:
        onnx_module().save(result.proto, str(output))
    except OSError as error:
        raise UsageError("the model can't be written", where=str(output), why=str(error)) from error
    for line in result.lines():
        click.echo(line)
    click.echo(f"written to {output}")


@main.command()
@click.argument("source", type=FOLDER)
@click.option("--model", type=FOLDER, required=True, help="The .onnx model, which says the shape of a sample.")
@click.option("-o", "--output", type=FOLDER, default=Path("calib.npz"), show_default=True, help="File to write.")
@click.option("--scale", default="0-1", show_default=True, help="Of images: 0-255, 0-1, -1-1 or imagenet.")
@click.option("--layout", default="auto", show_default=True, help="Of images: nhwc, nchw or auto.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples.")
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Of an input: x=1,3,64,64.")
@explained
def calib(
    source: Path,
    model: Path,
    output: Path,
    scale: str,
    layout: str,
    limit: int | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
) -> None:
    """Make a calibration file from SOURCE: a folder of images or .npy files, one .npy or .npz, or a CSV."""
    from tinycompile.quantize.collect import write_samples

    count = write_samples(source, model, output, dict(shapes), scale=scale, layout=layout, limit=limit)
    click.echo(f"{count} samples written to {output}")


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--input", "input_file", type=FOLDER, required=True, help="Samples: .npz with input_0, ... or one .npy.")
@click.option("--output", "output_file", type=FOLDER, help="Where to write output_0, ... (.npz).")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples.")
@click.option("--model", help="Which one, where FOLDER has several.")
@explained
def run(folder: Path, input_file: Path, output_file: Path | None, limit: int | None, model: str | None) -> None:
    """Run the firmware of FOLDER in QEMU (a build for the host: here) on every sample."""
    import numpy as np

    from tinycompile.build import Build
    from tinycompile.samples import drop_batch, load_arrays, model_inputs

    if output_file is not None and output_file.suffix != ".npz":
        raise UsageError("--output must end in .npz", where=str(output_file))
    result = Build(folder, model=model)
    samples = model_inputs(load_arrays(input_file), result.inputs, where=str(input_file), limit=limit)
    execution = result.execute(samples)
    if output_file is not None:
        arrays: dict[str, Any] = {f"output_{i}": drop_batch(array) for i, array in enumerate(execution.outputs)}
        try:
            np.savez(output_file, **arrays)
        except OSError as error:
            raise UsageError("the outputs can't be written", where=str(output_file), why=str(error)) from error
    counts = execution.instructions
    if not counts:
        click.echo(f"{len(samples[0])} samples on this machine")
        return
    spread = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    click.echo(f"{len(samples[0])} samples in QEMU's {result.emulated.name}: {spread} instructions per inference")


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--samples", "samples_file", type=FOLDER, required=True, help="Samples: .npz or .npy.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples.")
@click.option("--model", help="Which one, where FOLDER has several.")
@explained
def verify(folder: Path, samples_file: Path, limit: int | None, model: str | None) -> None:
    """Compare the firmware of FOLDER with the reference, tensor by tensor."""
    from tinycompile.build import Build
    from tinycompile.errors import MismatchError
    from tinycompile.samples import load_arrays, model_inputs
    from tinycompile.verify.compare import verify_build

    result = Build(folder, model=model)
    samples = model_inputs(load_arrays(samples_file), result.inputs, where=str(samples_file), limit=limit)
    outcome = verify_build(result, samples)
    if outcome.difference is not None:
        raise MismatchError("the firmware deviates from the reference", why=outcome.difference.describe())
    click.echo(
        f"bit-exact: {outcome.samples} samples, {outcome.tensors} tensors, {outcome.values:,} values, 0 differences"
    )
    if outcome.skipped:
        click.echo(f"not in the source model, so not compared: {', '.join(outcome.skipped)}")


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--probe", help="Serial number of the debug probe, where there are several.")
@explained
def flash(folder: Path, probe: str | None) -> None:
    """Write the firmware of FOLDER that prints on the UART to its board."""
    from tinycompile.build import Build
    from tinycompile.flashing import flash as flash_board

    click.echo(f"done: {flash_board(Build(folder), probe)}")
    click.echo("`tinycompile monitor` shows what it prints")


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--port", type=FOLDER, help="Serial port.  [default: the only one there is]")
@click.option("--baud", type=int, help="Baud rate.  [default: the board's]")
@click.option("--once", is_flag=True, help="Stop after one inference.")
@click.option("--timeout", type=float, help="Stop after this many seconds of silence.")
@explained
def monitor(folder: Path, port: Path | None, baud: int | None, once: bool, timeout: float | None) -> None:
    """Show what the board of FOLDER prints on its UART: results and cycles of each layer."""
    from tinycompile.build import Build
    from tinycompile.monitor import find_port, lines

    board = Build(folder).board
    begun = False
    for line in lines(port or find_port(), baud or board.baud, timeout):
        begun = begun or line.startswith("tinycompile:")
        if begun:
            click.echo(line)
        if begun and once and line == "end":
            return
    if not begun:
        raise UsageError(
            "nothing was heard from the board", why=f"at {baud or board.baud} baud", hint="`tinycompile flash` it first"
        )


@main.command()
@click.option("--board-path", type=FOLDER, help="Folder with boards of your own.")
@explained
def targets(board_path: Path | None) -> None:
    """List the boards."""
    from tinycompile.targets import all_boards

    for name, board in all_boards(board_path).items():
        click.echo(f"{name:14} {board.description}")


@main.command()
@explained
def ops() -> None:
    """List the operators and their rules."""
    import inspect
    import textwrap

    from tinycompile.frontend.tflite_ops import IMPORTERS
    from tinycompile.ops import all_ops

    click.echo("TFLite operators that are read:")
    click.echo(textwrap.fill(", ".join(sorted(IMPORTERS)), 100, initial_indent="  ", subsequent_indent="  "))
    from tinycompile.frontend.onnx import IMPORTERS as ONNX_IMPORTERS

    click.echo("\nONNX operators that are read:")
    click.echo(textwrap.fill(", ".join(sorted(ONNX_IMPORTERS)), 100, initial_indent="  ", subsequent_indent="  "))
    click.echo("\nWhat is compiled, and its rules:")
    for kind, op in all_ops().items():
        rule = " ".join((inspect.getdoc(op) or "").split("\n\n")[0].split())
        click.echo(textwrap.fill(rule, 100, initial_indent=f"  {kind:24} ", subsequent_indent=" " * 27))

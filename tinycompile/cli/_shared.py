"""What commands share: errors as messages, sizes, options of compilation."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from tinycompile.errors import TinycompileError

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


def console() -> Console:
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


def options_of(calib: Path | None, calib_method: str, evaluation: Path | None, **options: Any) -> Options:
    from tinycompile.pipeline import Options
    from tinycompile.quantize.source import Calibration

    return Options(**options, calibration=Calibration(calib, calib_method, evaluation))


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
            click.option("--weights", default="embedded", show_default=True, help="embedded, or a separate file."),
            click.option("--calib", type=FOLDER, help="Samples (.npz) to quantise a float ONNX model with."),
            click.option("--calib-method", default="auto", show_default=True, help="minmax, percentile, mse or auto."),
            click.option("--eval", "evaluation", type=FOLDER, help="Labelled samples (.npz: x, y) for the accuracy."),
        )
    ):
        command = option(command)
    return command

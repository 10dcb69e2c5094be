"""What commands share: errors as messages, sizes, options of compilation."""

from __future__ import annotations

import json
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import click

from tinycompile import choices
from tinycompile.cli._help import Renamed
from tinycompile.errors import TinycompileError
from tinycompile.report.wrapping import for_stream
from tinycompile.settings import offset_of, size_of, size_or_auto

if TYPE_CHECKING:
    from rich.console import Console

    from tinycompile.options import Options
    from tinycompile.widths import Width

P = ParamSpec("P")
PATH = click.Path(path_type=Path)


def _show_warning(message: Warning | str, *_args: object, **_kwargs: object) -> None:
    kind = "note" if type(message).__name__.endswith("Note") else "warning"
    click.echo(for_stream(f"{kind}: {message}", sys.stderr), err=True)


def _shown_once() -> Callable[..., None]:
    """`_show_warning`, for each text once: a command may read a file several times."""
    shown = set[str]()

    def show(message: Warning | str, *rest: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            _show_warning(message, *rest)

    return show


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _ended_as_by_ctrl_c() -> Generator[None]:
    """SIGTERM, and SIGHUP of a terminal that is closed, clean up and end what runs beside (QEMU), as Ctrl-C does;
    but those that were ignored before, as `nohup` has it.
    """
    names = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    ending = [each for each in signal.Signals if each.name in names]
    before = {each: signal.getsignal(each) for each in ending}
    taken = {each: handler for each, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for each in taken:
        signal.signal(each, _interrupt)
    try:
        yield
    finally:
        for each, handler in taken.items():
            signal.signal(each, handler)


def explained(command: Callable[P, None]) -> Callable[P, None]:
    """Turn our errors into a message and an exit code."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _ended_as_by_ctrl_c(), warnings.catch_warnings():
                warnings.showwarning = _shown_once()
                warnings.simplefilter("always", UserWarning)
                command(*args, **kwargs)
        except TinycompileError as error:
            click.echo(for_stream(f"error: {error}", sys.stderr), err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(130)

    return wrapper


PIPED_WIDTH = 100
"""Columns where the output is no terminal."""


def console() -> Console:
    """For results: colours only on a terminal, and not if NO_COLOR is set."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


@contextmanager
def progress(shown: bool = True) -> Generator[None]:
    """Shows the steps of what runs inside, where the error output is a terminal."""
    if not shown or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    from tinycompile.progress import listening

    with Console(stderr=True).status("starting") as status, listening(lambda what: status.update(escape(what))):
        yield


def say(text: str) -> None:
    """A result, wrapped where a terminal is narrower."""
    click.echo(for_stream(text, sys.stdout))


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2))


class Bytes(click.ParamType[int]):
    """A size in bytes: 65536, 64K, 1M."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return size_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class BytesOrAuto(click.ParamType[int | str]):
    """A size in bytes, 0 for nothing, or "auto"."""

    name = "auto|bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        try:
            return size_or_auto(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Address(click.ParamType[int]):
    """An offset in bytes: 32768, 0x8000, 32K."""

    name = "offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return offset_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Count(click.ParamType[int]):
    """A number: 20000000, 500k, 20M; k and M are powers of ten."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text, factor = str(value).strip().upper().replace("_", "").replace(",", ""), 1
        for suffix, power in (("K", 10**3), ("M", 10**6), ("G", 10**9)):
            if text.endswith(suffix):
                text, factor = text[:-1], power
        try:
            count = round(float(text) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a number; write 20000000, 500k or 20M", param, ctx)
        if count <= 0:
            self.fail("it must be positive", param, ctx)
        return count


class Shape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """A name and sizes: x=1,3,64,64."""

    name = "shape"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        if isinstance(value, tuple):
            return cast(tuple[str, tuple[int, ...]], value)  # converted already: a default
        name, _, sizes = str(value).rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.replace("x", ",").split(","))
        except ValueError:
            shape = ()
        if not name or not shape or min(shape) < 1:
            self.fail(f"{value!r} is no shape; write x=1,3,64,64", param, ctx)
        return name, shape


class StatePair(click.ParamType[tuple[str, str]]):
    """An input and an output: h=h_out."""

    name = "state"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return cast(tuple[str, str], value)
        given, _, following = str(value).partition("=")
        if not given or not following:
            self.fail(f"{value!r} names no state; write input=output", param, ctx)
        return given, following


class WidthFile(click.ParamType[tuple[float, Path]]):
    """A part of the widest network's channels and a file: 0.5=half.onnx."""

    name = "width=file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, Path]:
        if isinstance(value, tuple):
            return cast(tuple[float, Path], value)
        share, _, path = str(value).partition("=")
        try:
            return float(share), Path(path) if path else self.fail(
                f"{value!r} names no file; write 0.5=half.onnx", param, ctx
            )
        except ValueError:
            self.fail(f"{value!r} is no width; write 0.5=half.onnx", param, ctx)


def width_option(command: Callable[P, None]) -> Callable[P, None]:
    """`--width`, of which `widths_of` makes what options hold."""
    text = "A narrower network that reads the model's weights, chosen at run time: 0.5=half.onnx."
    return click.option("--width", "widths", type=WidthFile(), multiple=True, help=text)(command)


def widths_of(given: Sequence[tuple[float, Path]]) -> tuple[Width, ...]:
    """The widest first."""
    from tinycompile.widths import Width

    return tuple(Width(share, path) for share, path in sorted(given, reverse=True))


def force_option(text: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """`--force`, for commands that otherwise refuse to overwrite what the user made."""
    return click.option("--force", is_flag=True, help=text)


def calibrated_option(command: Callable[P, None]) -> Callable[P, None]:
    """`--calibrated-by`, of what prints estimates of time."""
    text = "What `bench` measured on this board: also print the time that follows from it."
    return click.option("--calibrated-by", type=PATH, help=text)(command)


def samples_option(text: str, required: bool = False) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """`--samples`, under one name for all commands; `--input` was another one."""
    return click.option(
        "--samples", "samples_file", cls=Renamed, earlier=["--input"], type=PATH, required=required, help=text
    )


STATE = "An input that is an output of the step before, kept in the model: in=out."
TRAIN = "Learn on the device: all, last:K, head, biases, LAYER, LAYER:0.25, lite:K, with commas; FILE.toml; auto."
KEEP_TOKENS = "Fewer tokens behind an attention: LAYER=K, or LAYER=K,first with the first one."
COMPRESS = "Code constants, decode them to RAM when layers run: all, or with --flash as many as it takes."
BACKEND = "What outputs become: class, top_k:k=3, smoothing:..., anomaly:..., FILE.toml (docs/backends.md)."
EVALUATION = "Other samples (.npz: x, and labels y if there are any) to measure with."


def options_of(
    calib: Path | None, calib_method: str, calib_effort: str, evaluation: Path | None, **options: Any
) -> Options:
    from tinycompile.model_source import Calibration
    from tinycompile.options import Options

    return Options(**options, calibration=Calibration(calib, calib_method, evaluation, effort=calib_effort))


def choice_option(name: str, values: tuple[str, ...], text: str, default: str = "") -> Callable[[Any], Any]:
    """An option with some values, the first one the default; what is wrong with others the command says itself."""

    def complete(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        return [value for value in values if value.startswith(typed)]

    shown = "|".join(values)
    first = default or values[0]
    return click.option(name, default=first, show_default=True, metavar=shown, help=text, shell_complete=complete)


def _fast(name: str, text: str) -> Callable[[Any], Any]:
    """An option for bytes in faster memory."""
    return click.option(
        name, type=BytesOrAuto(), default=choices.AUTO, show_default=True, metavar="auto|BYTES", help=text
    )


def complete_boards(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """The names of boards, without reading them."""
    from tinycompile.resources import boards_dir

    places = [boards_dir(), *filter(None, [context.params.get("board_path")])]
    names = {toml.parent.name for place in places for toml in Path(place).glob("*/board.toml")}
    return sorted(name for name in names if name.startswith(typed))


def target_option(command: Callable[P, None]) -> Callable[P, None]:
    """`--target`, with a default; `--board` for who thinks of it so."""
    option = click.option(
        "--target",
        cls=Renamed,
        earlier=["--board"],
        default="stm32f746",
        show_default=True,
        help="Board; see `tinycompile targets`.",
        shell_complete=complete_boards,
    )
    return option(command)


def compile_options(command: Callable[P, None]) -> Callable[P, None]:
    """What `build` and `plan` have in common."""
    for option in reversed(
        (
            target_option,
            choice_option("--io", choices.IO_CHOICES, "Types at the edges: the model's own, or no floats."),
            choice_option("--optimize", choices.OPTIMIZE_CHOICES, "What kernels are chosen by.", "balanced"),
            click.option("--ram", type=Bytes(), help="Limit for the arena, such as 64K.  [default: the target's RAM]"),
            click.option(
                "--flash", type=Bytes(), help="Limit for the firmware, weights included.  [default: the target's flash]"
            ),
            choice_option("--schedule", choices.SCHEDULE_CHOICES, "Layer by layer, in streams of rows, or in patches."),
            choice_option("--input-stream", choices.INPUT_STREAM_CHOICES, "rows: the input comes through a callback."),
            click.option("--board-path", type=PATH, help="Folder with boards of your own (docs/adding_a_board.md)."),
            choice_option("--layout", choices.LAYOUT_CHOICES, "Of images at the edges: the model's, or channels last."),
            click.option(
                "--shape", "shapes", type=Shape(), multiple=True, help="Of an input with dynamic sizes: x=1,3,64,64."
            ),
            click.option("--state", "states", type=StatePair(), multiple=True, help=STATE),
            click.option("--signature", help="Which one of a .tflite file is compiled.  [default: the main subgraph]"),
            choice_option("--dtype", choices.DTYPE_CHOICES, "What a float model is compiled to."),
            choice_option("--match", choices.MATCH_CHOICES, "Whose bytes a .tflite model's are: LiteRT's or TFLM's."),
            click.option("--camera", help="The image comes from a camera: FORMAT,WIDTHxHEIGHT: rgb565,160x120."),
            click.option("--crop", help="With --camera: the part that the model sees: x,y,width,height."),
            choice_option("--resize", choices.RESIZE_CHOICES, "With --camera: to the model's size."),
            choice_option("--pixel-range", choices.PIXEL_RANGES, "With --camera: what 0 to 255 are to the model."),
            click.option("--slide", help="Overlapping windows: the axis that moves, new rows a step: time=2, x:1=2."),
            click.option(
                "--frontend", help="From samples to a model's spectrogram or window of motion: micro, or FILE.toml."
            ),
            click.option("--keep-tokens", multiple=True, help=KEEP_TOKENS),
            click.option("--train", help=TRAIN),
            click.option("--data", "train_data", type=PATH, help="Samples (.npz: x, y) for --train auto."),
            click.option("--export-gradient", help="With --train: messages for a server, such as topk=1%."),
            click.option("--classes", type=int, help="With --train: a head of so many classes."),
            choice_option("--loss", choices.LOSS_CHOICES, "What --train learns by."),
            click.option(
                "--learning-rate", type=float, default=0.01, show_default=True, help="The first one of --train."
            ),
            click.option("--accumulate", is_flag=True, help="--train can add up gradients of several samples."),
            click.option("--parameters", type=PATH, help="What --train begins with: a file that `train` wrote."),
            click.option("--strict-int8", is_flag=True, help="An operator that can't run in 8 bits is an error."),
            choice_option("--weights", choices.WEIGHTS_CHOICES, "In the code, or in a separate file."),
            choice_option("--align", choices.ALIGN_CHOICES, "strict: no unaligned word; auto: as the board says."),
            click.option("--flash-offset", type=Address(), default=0, help="Where a bootloader ends, such as 32K."),
            _fast("--fast-code", "Code that start-up copies to RAM without wait states."),
            _fast("--fast-weights", "The same for weights and tables."),
            click.option("--compress-weights", is_flag=True, help=COMPRESS),
            click.option("--labels", type=PATH, multiple=True, help="Text file with a class on each line; per model."),
            click.option("--backend", multiple=True, help=BACKEND),
            click.option("--updatable", is_flag=True, help="Keep channels that only these weights make constant."),
            click.option("--calib", type=PATH, help="Samples (.npz) to quantise a float model with."),
            choice_option("--calib-method", choices.CALIB_METHOD_CHOICES, "How ranges are found."),
            choice_option("--calib-effort", choices.CALIB_EFFORT_CHOICES, "high tries more, in more time."),
            click.option("--eval", "evaluation", type=PATH, help=EVALUATION),
        )
    ):
        command = option(command)
    return command

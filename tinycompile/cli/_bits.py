"""What `--bits auto` is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._shared import Bytes
from tinycompile.errors import UsageError
from tinycompile.written import MARK, TFLITE

if TYPE_CHECKING:
    from tinycompile.build import Build
    from tinycompile.options import Options


class Percent(click.ParamType[float]):
    """A part of 1: 1%, 0.5%."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            part = float(str(value).strip().removesuffix("%")) / 100
        except ValueError:
            part = -1.0
        if not str(value).strip().endswith("%") or not 0 <= part < float("inf"):
            self.fail(f"{value!r} is no part; write 1% or 0.5%", param, ctx)
        return part


class BytesOrPart(click.ParamType[int | float]):
    """A size in bytes as int, or a part of 1 as float: 200K, 50%."""

    name = "bytes|percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        if isinstance(value, int | float):
            return value
        kind: click.ParamType[Any] = Percent() if str(value).strip().endswith("%") else Bytes()
        return kind.convert(value, param, ctx)


class Prune(click.ParamType[float]):
    """Of channels to be removed, as a part of 1: "channels", as many as other limits ask for, is 0; channels=25%."""

    name = "channels[=PERCENT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        what, _, part = str(value).partition("=")
        if what != "channels":
            self.fail(f"{value!r} is not 'channels'; write channels, or channels=25%", param, ctx)
        if part in ("", "auto"):
            return 0.0
        found = Percent().convert(part, param, ctx)
        if not 0 < found < 1:
            self.fail(f"{part!r} is no part that can go; write 25%", param, ctx)
        return found


def automatic_bits(
    model: Path,
    calib: Path | None,
    output: Path,
    limits: Mapping[str, float | None],
    target: str,
    evaluation: Path | None,
    *,
    few_bits: bool,
    prune: float | None,
    **options: Any,
) -> None:
    """Write the file, and say what was chosen.

    Args:
        limits: as they were given, by the options' names; None for those that weren't.
        few_bits: whether bits are chosen. prune: the part of channels that goes at least; None to keep all.
    """
    from tinycompile.mixed_precision.automatic import Budget, Freedom, automatic

    if calib is None:
        option, what = ("--bits auto", "few bits cost") if few_bits else ("--prune", "channels are worth")
        raise UsageError(f"{option} needs --calib", why=f"what {what} is measured on real inputs")
    size, slower, flash = limits["weight_bytes"], limits["slower"], limits["flash"]
    budget = Budget(
        weight_bytes=size if isinstance(size, int) else None,
        weight_part=size if isinstance(size, float) else None,
        flash=None if flash is None else int(flash),
        accuracy_loss=limits["accuracy_loss"],
        instruction_factor=None if slower is None else 1 + slower,
    )
    found = automatic(
        model,
        calib,
        budget,
        freedom=Freedom(few_bits=few_bits, prune=prune is not None, removed_part=prune or 0.0),
        target=target,
        evaluation=evaluation,
        form="tflite" if output.suffix == TFLITE else "onnx",
        description=MARK,
        **options,
    )
    output.write_bytes(found.content)
    for line in found.lines():
        click.echo(line)


def few_values(
    model: Path, calib: Path | None, output: Path, values: int, evaluation: Path | None, **options: Any
) -> list[str]:
    """Write a file with few different weights in each layer; what that costs, in lines."""
    from tinycompile.mixed_precision.cluster import cluster

    if calib is None:
        raise UsageError("--cluster needs --calib", why="which weights count is measured on real inputs")
    form: Any = "tflite" if output.suffix == TFLITE else "onnx"
    found = cluster(model, calib, values, evaluation=evaluation, form=form, description=MARK, **options)
    output.write_bytes(found.content)
    return found.lines()


def build_with_few_bits(
    models: Sequence[Path],
    options: Options,
    accuracy_loss: float,
    folder: Path,
    *,
    prune: bool,
    force: bool,
    quiet: bool,
) -> list[Build]:
    """Build one model, with few bits in some layers where 8 bits don't fit; says which.

    Args:
        prune: whether channels may be removed as well.
    """
    from tinycompile.mixed_precision.build_within import build_within

    if len(models) != 1:
        raise UsageError("--accuracy-loss takes one model", hint="give several their bits by `tinycompile quantize`")
    found = build_within(models[0], options, accuracy_loss, output=folder, force=force, prune=prune)
    if found.bits is not None and not quiet:
        for line in found.bits.lines():
            click.echo(line)
    return [found.build]

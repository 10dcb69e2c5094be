"""What `--bits auto` is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tinycompile.cli._shared import Bytes
from tinycompile.errors import UsageError
from tinycompile.written import MARK, TFLITE


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


def automatic_bits(
    model: Path,
    calib: Path | None,
    output: Path,
    limits: Mapping[str, float | None],
    target: str,
    evaluation: Path | None,
    **options: Any,
) -> None:
    """Write the file, and say what was chosen.

    Args:
        limits: as they were given, by the options' names; None for those that weren't.
    """
    from tinycompile.mixed_precision.automatic import Budget, automatic

    if calib is None:
        raise UsageError("--bits auto needs --calib", why="what few bits cost is measured on real inputs")
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
        target=target,
        evaluation=evaluation,
        form="tflite" if output.suffix == TFLITE else "onnx",
        description=MARK,
        **options,
    )
    output.write_bytes(found.content)
    for line in found.lines():
        click.echo(line)

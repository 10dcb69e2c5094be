"""Builds that learn: `train`, and what `verify --train` prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._help import command
from tinycompile.cli._serial import SERIAL, Where, serial_options
from tinycompile.cli._shared import PATH, explained, force_option, print_json, progress
from tinycompile.errors import MismatchError, UsageError

if TYPE_CHECKING:
    from tinycompile.build import Build
    from tinycompile.learning.device import Device
    from tinycompile.learning.train import Epoch, Training
    from tinycompile.serial_link.console import Place

STEPS = 20
"""That `verify --train` compares."""


@command(short_help="Let a `build --train` learn from a file of samples.")
@click.argument("folder", type=PATH)
@click.option("--data", type=PATH, required=True, help="Samples (.npz): input_0, ... and label (or y), or target.")
@click.option("--eval", "evaluation", type=PATH, help="Other samples, to measure with.  [default: --data]")
@click.option("--epochs", type=click.IntRange(min=1), default=1, show_default=True, help="Times that all are learned.")
@click.option("--lr", "rate", type=float, help="The learning rate.  [default: the one of `build`]")
@click.option(
    "--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Samples of a step (--accumulate)."
)
@serial_options("host", "qemu", SERIAL)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples of --data.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the order in which they are learned."
)
@click.option("-o", "--output", type=PATH, help="Folder for a build of what was learned, and a checkpoint.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@force_option("Overwrite generated files that were edited, and take a folder that no build made.")
@explained
def train(
    folder: Path,
    data: Path,
    evaluation: Path | None,
    epochs: int,
    rate: float | None,
    batch: int,
    where: Where,
    limit: int | None,
    seed: int,
    output: Path | None,
    as_json: bool,
    force: bool,
) -> None:
    """Let the model of FOLDER, a `build --train`, learn: its generated C runs on every sample, here, in QEMU or on
    a board.
    """
    from tinycompile.build import Build
    from tinycompile.learning.data import load_data
    from tinycompile.learning.device import check_learns
    from tinycompile.learning.result import build_trained
    from tinycompile.learning.train import train_build
    from tinycompile.report.document import model_names
    from tinycompile.staging import check_output

    if rate is not None and not 2.0**-40 <= rate <= 2.0**16:
        raise UsageError(f"--lr {rate} is no rate to learn with", hint="such as 0.003")
    if len(names := model_names(folder)) > 1:
        raise UsageError(
            "the build has several models",
            where=str(folder),
            why=f"it has {', '.join(names)}, of which one learns",
            hint="build that one alone",
        )
    build = Build(folder)
    if output is not None and check_output(output, force=force) == Path(os.path.realpath(folder)):
        raise UsageError(
            "the output folder is the build that learns",
            where=str(output),
            why="a device that has this build couldn't be given what was learned any more",
            hint="give -o another folder",
        )
    check_learns(build)
    place, unit = where.place, "instructions" if where.on == "qemu" else "ticks of its counter"
    samples = load_data(build, data, limit)
    measured = samples if evaluation is None else load_data(build, evaluation)

    def done(number: int, epoch: Epoch) -> None:
        if not as_json:
            click.echo(f"epoch {number}: {_described(epoch, unit)}")

    with progress(not as_json), _device(build, where.on, place) as device:
        found = train_build(
            build, device, samples, epochs=epochs, rate=rate, batch=batch, evaluation=measured, seed=seed, done=done
        )
        result = None if output is None else build_trained(build, found, output, force=force)
    if as_json:
        print_json(as_facts(build, found, output))
        return
    before, after = found.before, found.epochs[-1].evaluation
    if before is not None and after is not None:
        click.echo(f"before: {before.describe()}; after {epochs * len(samples):,} steps: {after.describe()}")
    if result is not None:
        click.echo(f"{output}: a build that begins with this, and {build.model}_checkpoint.bin for {folder}'s")


@contextmanager
def _device(build: Build, on: str, place: Place | None) -> Generator[Device]:
    from tinycompile.learning.device import device_of

    if place is None:
        yield device_of(build, on)
        return
    from tinycompile.learning.on_board import OnBoard
    from tinycompile.serial_link.console import console_of

    with console_of(build, place) as console:
        yield OnBoard(build, console)


def _described(epoch: Epoch, unit: str) -> str:
    parts = [f"loss {epoch.loss:.4f}"]
    if epoch.evaluation is not None:
        parts.append(epoch.evaluation.describe())
    if epoch.weights:
        parts.append(f"{epoch.changed:,} of {epoch.weights:,} int8 weights changed")
    if epoch.instructions:
        parts.append(f"{epoch.instructions:,} {unit} per step")
    return ", ".join(parts)


def as_facts(build: Build, found: Training, output: Path | None) -> dict[str, Any]:
    """For `train --json`."""
    return {
        "model": build.model,
        "device": found.device,
        "before": None if found.before is None else asdict(found.before),
        "epochs": [asdict(epoch) for epoch in found.epochs],
        "output": None if output is None else str(output),
    }


def verify_steps(build: Build, samples: Path | None, limit: int | None, *, as_json: bool) -> None:
    """`verify --train`: on samples with labels, or random ones.

    Raises:
        MismatchError: a loss or a state differs.
    """
    from tinycompile.learning.data import load_data
    from tinycompile.learning.verify import verify_training

    data = None if samples is None else load_data(build, samples)
    given = (None, None) if data is None else (data.inputs, data.labels)
    found = verify_training(build, limit or STEPS, *given)
    if as_json:
        print_json(build.report["verify_training"])
        sys.exit(0 if found.difference is None else 1)
    if found.difference is not None:
        raise MismatchError(
            "training steps deviate from their definition",
            why=found.difference.describe(),
            hint="this is a bug in tinycompile, or the generated code was edited",
        )
    counts = f"{found.steps} training steps, {found.parameters} parameters, {found.values:,} values, 0 differences"
    click.echo(f"bit-exact: {counts}; on {' and '.join(found.devices)}")
    if found.instructions is not None:
        counts = f"{found.instructions:,} instructions per step, {found.prediction or 0:,} per prediction"
        click.echo(f"{counts}; {found.moved:,} values of parameters have moved")

"""`profile` and `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._help import command
from tinycompile.cli._serial import SERIAL, Where, serial_options
from tinycompile.cli._shared import (
    PATH,
    calibrated_option,
    console,
    explained,
    force_option,
    print_json,
    samples_option,
)
from tinycompile.written import OVERWRITE

if TYPE_CHECKING:
    from tinycompile.build import Build
    from tinycompile.profile.calibrated import Calibration
    from tinycompile.serial_link.console import Place


@command(short_help="Count instructions of layers; estimate or measure cycles.")
@click.argument("folder", type=PATH)
@samples_option("A sample: .npz or .npy.  [default: a fixed pattern]")
@click.option("--model", help="Which one, where FOLDER has several.")
@serial_options("qemu", SERIAL)
@calibrated_option
@click.option("--json", "as_json", is_flag=True, help="Print the profile as JSON.")
@explained
def profile(
    folder: Path,
    samples_file: Path | None,
    model: str | None,
    where: Where,
    calibrated_by: Path | None,
    as_json: bool,
) -> None:
    """Count the instructions of each layer of FOLDER's firmware in QEMU; estimate cycles.

    With --on serial the board's counter says what each layer takes, beside the estimate.
    """
    from tinycompile.build import Build
    from tinycompile.profile import profile_build
    from tinycompile.profile.calibrated import load_calibration
    from tinycompile.report.profile import print_profile

    build, place = Build(folder, model=model), where.place
    calibration = None if calibrated_by is None else load_calibration(calibrated_by, build.board.name)
    samples = None if samples_file is None else build.samples(samples_file, 1)
    if place is not None:
        _measure(build, place, samples, 1, layers=True, as_json=as_json)
        return
    found = profile_build(build, samples)
    if as_json:
        print_json(found)
        return
    print_profile(build.report, console())
    if calibration is not None:
        for line in _corrected(found, calibration):
            click.echo(line)


def _corrected(profile: dict[str, Any], calibration: Calibration) -> list[str]:
    """The estimate, times what measured models took more of theirs."""
    from tinycompile.profile.board import bounds

    found, factor = bounds(profile), calibration.factor
    if found is None or factor is None:
        return [f"not calibrated: there is no estimate for {calibration.board}"]
    low, high = (1e3 * factor * cycles / calibration.clock_hz for cycles in found)
    text = f"{low:,.3f} ms" if f"{low:.3f}" == f"{high:.3f}" else f"{low:,.3f} to {high:,.3f} ms"
    return [f"calibrated: {text}, {factor:.3f} times the estimate, by {calibration.origin}"]


def _measure(build: Build, place: Place, samples: Any, repeat: int, *, layers: bool, as_json: bool) -> dict[str, Any]:
    """What a board takes, printed beside the estimate; returns the estimate and the measurement."""
    from tinycompile.profile.board import estimated, measure_build, measured_lines
    from tinycompile.serial_link.console import console_of

    with console_of(build, place) as board:
        measured = measure_build(build, board, samples, repeat)
    guess = estimated(build, samples)
    if as_json:
        print_json({"measured": measured, "profile": guess})
    else:
        for line in measured_lines(build, guess, layers=layers):
            click.echo(line)
    return {"measured": measured, "profile": guess}


@command(short_help="Measure inferences on the board; calibrate estimates.")
@click.argument("folder", type=PATH)
@samples_option("A sample: .npz or .npy.  [default: a fixed pattern]")
@click.option("--model", help="Which one, where FOLDER has several.")
@serial_options(SERIAL)
@click.option("--repeat", type=click.IntRange(min=1), default=10, show_default=True, help="Inferences.")
@click.option("-o", "--output", type=PATH, help="Calibration file (.json) to write, or to add this model to.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@force_option(OVERWRITE)
@explained
def bench(
    folder: Path,
    samples_file: Path | None,
    model: str | None,
    where: Where,
    repeat: int,
    output: Path | None,
    as_json: bool,
    force: bool,
) -> None:
    """Measure inferences of FOLDER's model on its board, by the firmware that `flash` writes, beside the estimate."""
    from tinycompile.build import Build
    from tinycompile.profile.board import bounds
    from tinycompile.profile.calibrated import Calibration, Entry, is_calibration, load_calibration
    from tinycompile.staging import may_write

    build, place = Build(folder, model=model), where.place
    if place is None:
        raise AssertionError("it is on a serial port")
    samples = None if samples_file is None else build.samples(samples_file, 1)
    board = build.board
    before = Calibration(board.name, board.clock_hz, ())
    if output is not None and output.exists() and not force:
        before = load_calibration(output, board.name)
    found = _measure(build, place, samples, repeat, layers=False, as_json=as_json)
    if output is None:
        return
    guess, profile = bounds(found["profile"]), found["profile"]
    entry = Entry(
        build.model,
        found["measured"]["median_cycles"],
        None if guess is None else round(sum(guess) / 2),
        None if profile is None else profile["instructions"],
    )
    with may_write(output, is_calibration, read=[] if samples_file is None else [samples_file], force=force) as path:
        path.write_text(before.with_entry(entry).as_text())
    if not as_json:
        click.echo(f"{output}: for --calibrated-by of `cost` and `profile`")

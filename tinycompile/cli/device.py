"""`new`, `flash` and `monitor`."""

from __future__ import annotations

from pathlib import Path

import click

from tinycompile.cli._help import command
from tinycompile.cli._shared import PATH, choice_option, explained, say, target_option
from tinycompile.errors import UsageError


@command(short_help="Write an example application, which is yours from then on.")
@click.argument("output", metavar="FOLDER", type=PATH)
@choice_option("--app", ("kws", "digits"), "What it does: spoken words, or handwritten digits.")
@target_option
@click.option("--board-path", type=PATH, help="Folder with boards of your own.")
@explained
def new(output: Path, app: str, target: str, board_path: Path | None) -> None:
    """Write an application to FOLDER: source of inputs, model, decision, Makefile. It is yours: nothing is ever
    overwritten, so FOLDER must not exist.
    """
    from tinycompile.application import load_app, new_application
    from tinycompile.targets import load_board

    board = load_board(target, board_path)
    for name in new_application(output, load_app(app), board):
        say(f"{output / name}")
    run = "`make run` tries it in QEMU, `make` builds" if board.emulated() is not None else "`make` builds"
    say(f"yours from now on; {run} firmware for the board")


@command(short_help="Write the firmware of a build to its board.")
@click.argument("folder", type=PATH)
@click.option("--probe", help="Serial number of the debug probe, where there are several.")
@click.option(
    "--firmware",
    type=click.Choice(("console", "harness", "energy")),
    default="console",
    show_default=True,
    help="console: for `monitor` and --on serial; the others: of `build --harness`.",
)
@explained
def flash(folder: Path, probe: str | None, firmware: str) -> None:
    """Write the firmware of FOLDER that prints on the UART to its board, or one for a benchmark's runner."""
    from tinycompile.build import Build
    from tinycompile.flashing import flash as flash_board

    click.echo(f"done: {flash_board(Build(folder), probe, firmware)}")
    if firmware == "console":
        click.echo("`tinycompile monitor` shows what it prints; `verify --on serial` compares what it computes")


@command(short_help="Show what the board prints: results, cycles of layers.")
@click.argument("folder", type=PATH)
@click.option("--port", type=PATH, help="Serial port.  [default: the only one there is]")
@click.option("--baud", type=int, help="Baud rate.  [default: the board's]")
@click.option("--once", is_flag=True, help="Stop after one inference.")
@click.option("--timeout", type=float, help="Stop after this many seconds of silence.")
@explained
def monitor(folder: Path, port: Path | None, baud: int | None, once: bool, timeout: float | None) -> None:
    """Show what the board of FOLDER prints on its UART: results and cycles of each layer."""
    from tinycompile.build import Build
    from tinycompile.monitor import find_port, lines
    from tinycompile.serial_link.frames import Frame
    from tinycompile.serial_link.link import Kind

    board = Build(folder).board
    begun = False
    goodbye = Frame(0, Kind.BYE).encoded()  # to a program that was stopped before it could say so
    for line in lines(port or find_port(), baud or board.baud, timeout, goodbye):
        begun = begun or line.startswith("tinycompile:")
        if begun:
            click.echo(line)
        if begun and once and line == "end":
            return
    if not begun:
        raise UsageError(
            "nothing was heard from the board", why=f"at {baud or board.baud} baud", hint="`tinycompile flash` it first"
        )

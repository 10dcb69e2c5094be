"""`--on serial`: options of commands that can ask a board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinycompile.cli._shared import PATH, P
from tinycompile.errors import UsageError

if TYPE_CHECKING:
    from tinycompile.serial_link.console import Place

SERIAL = "serial"


def serial_options(*others: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """`--on`, of which the first of `others` is the default, and where a board is."""

    def with_options(command: Callable[P, None]) -> Callable[P, None]:
        text = f"Where the model runs; {SERIAL}: on the board, by the firmware that `flash` writes."
        for option in reversed(
            (
                click.option(
                    "--on",
                    type=click.Choice(tuple(dict.fromkeys((*others, SERIAL)))),
                    default=others[0],
                    show_default=True,
                    help=text,
                ),
                click.option("--port", type=PATH, help="Serial port of --on serial.  [default: the only one there is]"),
                click.option("--baud", type=click.IntRange(min=1), help="Its baud rate.  [default: the board's]"),
                click.option(
                    "--timeout",
                    type=click.FloatRange(min=0, min_open=True),
                    help="Seconds of silence after which to give up.  [default: 20]",
                ),
            )
        ):
            command = option(command)
        return command

    return with_options


def place_of(on: str, port: Path | None, baud: int | None, timeout: float | None) -> Place | None:
    """Where the board is; None where none is asked.

    Raises:
        UsageError: a port is named for nothing.
    """
    from tinycompile.serial_link.console import Place

    if on == SERIAL:
        return Place(port, baud) if timeout is None else Place(port, baud, timeout)
    for name, given in (("--port", port), ("--baud", baud), ("--timeout", timeout)):
        if given is not None:
            raise UsageError(f"{name} is for boards on a serial port", hint="add --on serial")
    return None

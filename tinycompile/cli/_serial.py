"""`--on serial`: options of commands that can ask a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._shared import PATH
from tinycompile.errors import UsageError

if TYPE_CHECKING:
    from tinycompile.serial_link.console import Place

SERIAL = "serial"


@dataclass(frozen=True)
class Where:
    """Where a model is to run, as the options say."""

    on: str
    port: Path | None
    baud: int | None
    timeout: float | None

    @property
    def place(self) -> Place | None:
        """Where the board is; None where none is asked.

        Raises:
            UsageError: a port is named for nothing.
        """
        from tinycompile.serial_link.console import Place

        if self.on == SERIAL:
            return Place(self.port, self.baud, *([] if self.timeout is None else [self.timeout]))
        for name, given in (("--port", self.port), ("--baud", self.baud), ("--timeout", self.timeout)):
            if given is not None:
                raise UsageError(f"{name} is for boards on a serial port", hint="add --on serial")
        return None


def serial_options(*places: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--on`, of which the first of `places` is the default, and where a board is: the argument `where`."""

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def placed(*, on: str, port: Path | None, baud: int | None, timeout: float | None, **arguments: Any) -> None:
            command(where=Where(on, port, baud, timeout), **arguments)

        text = f"Where the model runs; {SERIAL}: on the board, by the firmware that `flash` writes."
        above_zero = click.FloatRange(min=0, min_open=True)
        found: Callable[..., None] = placed
        for option in (
            click.option("--timeout", type=above_zero, help="Give up after this silence, in seconds.  [default: 20]"),
            click.option("--baud", type=click.IntRange(min=1), help="Its baud rate.  [default: the board's]"),
            click.option("--port", type=PATH, help="Serial port of --on serial.  [default: the only one there is]"),
            click.option("--on", type=click.Choice(places), default=places[0], show_default=True, help=text),
        ):
            found = option(found)
        return found

    return with_options

"""Lines that fit a terminal."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

LEAST_TEXT = 16
"""Columns that must be left beside what a line begins with, for the rest to be aligned with it."""


def wrapped(text: str, columns: int) -> str:
    """Lines of so many columns at the most, unless a word is longer.

    What goes on in the next line is aligned with where the text of its line begins: behind a label and two spaces or
    more, or, if that leaves no room, a little more to the right than the line itself.
    """
    return "\n".join(_wrapped_line(line, columns) for line in text.splitlines())


def _wrapped_line(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    begin = len(line) - len(line.lstrip())
    label = re.match(r"\s*\S+(?: \S+)*\s{2,}", line)
    column = label.end() if label is not None else begin + 2
    if columns - column < LEAST_TEXT:
        column = begin + 2
    return textwrap.fill(
        line,
        columns,
        subsequent_indent=" " * column,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def for_stream(text: str, stream: TextIO) -> str:
    """As the stream shows it best: wrapped on a terminal, as it is for files and pipes."""
    return wrapped(text, shutil.get_terminal_size().columns) if stream.isatty() else text


UNBOUNDED = 10_000
NARROW = 72
"""With fewer columns a table that needs more is written row by row."""


def fitted(table: Table, console: Console) -> RenderableType:
    """A table as it is, or where the terminal is too narrow for it each row as its first cell that isn't empty,
    and the others below.
    """
    from rich.measure import Measurement
    from rich.text import Text

    wanted = Measurement.get(console, console.options.update(max_width=UNBOUNDED), table).maximum
    if not console.is_terminal or console.width >= NARROW or wanted <= console.width:
        return table
    names = [str(column.header) for column in table.columns]
    lines = list[str]()
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        said = [(name, cell) for name, cell in zip(names, cells, strict=True) if cell]
        if not said:
            continue
        (_, first), *others = said
        # A name stays with its value.
        pairs = [f"{name} {str(cell).strip()}".strip().replace(" ", "\u00a0") for name, cell in others]
        lines += [f"[bold]{first}[/bold]", wrapped(f"  {', '.join(pairs)}", console.width - 2).replace("\n", "\n  ")]
    return Text.from_markup("\n".join(lines).replace("\u00a0", " "))

"""`--labels FILE`: the names of a classifier's classes, for the generated header."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tinycompile.errors import UsageError

MAX_FILE_BYTES = 1 << 20


def read_labels(path: Path, outputs: Iterable[tuple[int, ...]]) -> tuple[str, ...]:
    """A label for each line of a UTF-8 file, blank lines at its end left out.

    Args:
        outputs: shapes of the model's outputs; the last axis of one of them has a value for each label.

    Raises:
        UsageError: the file can't be read, or no output has as many values as it has lines.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError("the labels' file is too large", where=str(path), why=f"the limit is {MAX_FILE_BYTES:,}")
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError("the labels can't be read", where=str(path), why=str(error), hint="a text file") from error
    labels = tuple(line.strip() for line in text.rstrip().splitlines())
    sizes = [shape[-1] for shape in outputs if shape]
    if not labels or len(labels) not in sizes:
        raise UsageError(
            f"there are {len(labels)} labels",
            where=str(path),
            why=f"the last axis of the model's outputs has {', '.join(map(str, sizes)) or 'no'} values",
            hint="a line for each class, in the order of the output",
        )
    return labels

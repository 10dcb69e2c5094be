"""Calibration files: what `bench` measured on a board, by which later estimates for it are corrected."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinycompile.errors import UsageError, system_reason
from tinycompile.written import MARK

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """A model that was measured.

    Attributes:
        estimated_cycles: by `profile`, in the middle of its bounds; None where there is no model of the core.
        instructions: of an inference, exact; None without QEMU.
    """

    model: str
    measured_cycles: int
    estimated_cycles: int | None
    instructions: int | None


@dataclass(frozen=True)
class Calibration:
    """Attributes:
    clock_hz: at which the board ran.
    """

    board: str
    clock_hz: int
    entries: tuple[Entry, ...]

    def with_entry(self, entry: Entry) -> Calibration:
        """In the place of an older one of the same model."""
        others = [each for each in self.entries if each.model != entry.model]
        return Calibration(self.board, self.clock_hz, (*others, entry))

    @property
    def factor(self) -> float | None:
        """Measured by estimated cycles, the median; None without any estimate."""
        found = [each.measured_cycles / each.estimated_cycles for each in self.entries if each.estimated_cycles]
        return statistics.median(found) if found else None

    @property
    def cycles_per_instruction(self) -> tuple[float, float] | None:
        """Waiting included, from and to."""
        found = [each.measured_cycles / each.instructions for each in self.entries if each.instructions]
        return (min(found), max(found)) if found else None

    @property
    def origin(self) -> str:
        """For people."""
        count = len(self.entries)
        return f"{count} measured model{'' if count == 1 else 's'} on {self.board}"

    def as_text(self) -> str:
        facts = {"format": FORMAT, "by": MARK, "board": self.board, "clock_hz": self.clock_hz}
        return json.dumps({**facts, "entries": [asdict(entry) for entry in self.entries]}, indent=2) + "\n"


def load_calibration(path: Path, board: str) -> Calibration:
    """Read a file for a board.

    Raises:
        UsageError: it can't be read, is no such file, or is another board's.
    """
    try:
        found = _calibration(json.loads(path.read_text()))
    except OSError as error:
        raise UsageError("the calibration can't be read", where=str(path), why=system_reason(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            "this is no calibration", where=str(path), why=str(error), hint="`tinycompile bench -o FILE` writes one"
        ) from error
    if found.board != board:
        raise UsageError(
            f"the calibration is of {found.board}, the build for {board}",
            where=str(path),
            hint=f"measure on {board}: `tinycompile bench`",
        )
    return found


def is_calibration(path: Path) -> bool:
    """Whether `bench` wrote it. Raises where it is no JSON."""
    return bool(json.loads(path.read_text())["by"] == MARK)


def _calibration(document: Mapping[str, Any]) -> Calibration:
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']}, not {FORMAT}")
    entries = tuple(Entry(**each) for each in document["entries"])
    if not entries or any(each.measured_cycles <= 0 for each in entries):
        raise ValueError("nothing was measured")
    return Calibration(str(document["board"]), int(document["clock_hz"]), entries)

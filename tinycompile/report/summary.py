"""Figures of a report that both the terminal and the HTML page show: totals, time, heaviest layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNLIMITED_BYTES = 1 << 31
"""A board with so much memory has no limit worth showing: the host."""

Report = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Instructions of one inference, and whether QEMU counted them or the kernels' figures say so."""

    instructions: int
    measured: bool


@dataclass(frozen=True)
class Duration:
    """Estimated time of one inference.

    Attributes:
        cycles: of the board's core by the profile's model; None where there is no profile, and an instruction is taken
            for a cycle.
        error_percent: of the model of the core against published figures; None where there are none.
    """

    seconds: float
    cycles: int | None
    error_percent: float | None

    def text(self) -> str:
        return f"{self.seconds * 1e3:,.{_decimals(self.seconds * 1e3)}f} ms"


@dataclass(frozen=True)
class Row:
    """Instructions of a layer, or of a stage whose layers were counted together.

    Attributes:
        first, last: layers [first, last). path: of the figure in the report.
    """

    first: int
    last: int
    path: str
    instructions: int
    macs: int


def work(report: Report) -> Work:
    """Counted by `profile` or `run` if there was one, else estimated."""
    if "run" in report:
        return Work(report["run"]["instructions"], True)
    if "profile" in report:
        return Work(report["profile"]["instructions"], True)
    return Work(sum(layer["instructions_estimate"] for layer in report["layers"]), False)


def duration(report: Report) -> Duration | None:
    """None where the target has no clock of its own: the host."""
    board = report.get("board", {})
    if report["target"] == "host" or not board.get("clock_hz"):
        return None
    profile = report.get("profile", {})
    cycles = profile.get("cycles", {}).get(board["core"])
    error = profile.get("error_percent", {}).get(board["core"])
    ticks = work(report).instructions if cycles is None else cycles
    return Duration(ticks / board["clock_hz"], cycles, error)


def layer_counts(report: Report) -> tuple[list[int], str]:
    """Instructions of each layer, and the path of the figure of layer {}: the best that is known."""
    if "profile" in report:
        return [layer["instructions"] for layer in report["profile"]["layers"]], "profile.layers.{}.instructions"
    key = "instructions" if "run" in report else "instructions_estimate"
    return [layer[key] or 0 for layer in report["layers"]], f"layers.{{}}.{key}"


def rows(report: Report) -> list[Row]:
    """In the order of execution. Layers that `run` can't tell apart are one row."""
    layers, (counts, path) = report["layers"], layer_counts(report)
    found, first, together = list[Row](), 0, path == "layers.{}.instructions"
    while first < len(layers):
        last = first + 1
        while together and last < len(layers) and not layers[last - 1].get("traced", True):
            last += 1
        lead = max(range(first, last), key=counts.__getitem__)
        macs = sum(layer["macs"] for layer in layers[first:last])
        found.append(Row(first, last, path.format(lead), sum(counts[first:last]), macs))
        first = last
    return found


def heaviest(report: Report, count: int) -> list[Row]:
    """The rows with the most instructions, the heaviest first."""
    return sorted(rows(report), key=lambda row: -row.instructions)[:count]


def memory_share(memory: dict[str, int]) -> float | None:
    """Part of the limit that is used; None where there is no limit."""
    return None if memory["limit_bytes"] >= UNLIMITED_BYTES else memory["total_bytes"] / memory["limit_bytes"]


def _decimals(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4

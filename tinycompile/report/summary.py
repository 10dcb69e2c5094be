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
        error_percent: of the model of the core against published figures.
    """

    seconds: float
    cycles: int | None
    error_percent: float | None

    def text(self) -> str:
        return f"{self.seconds * 1e3:,.{_decimals(self.seconds * 1e3)}f} ms"


@dataclass(frozen=True)
class Row:
    """Instructions of a layer, or of a stage whose layers are executed together.

    Attributes:
        first, last: layers [first, last). lead: the layer whose entry in the report has the count.
    """

    first: int
    last: int
    lead: int
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


def rows(report: Report) -> list[Row]:
    """In the order of execution. What QEMU counts of a stage is a single figure."""
    layers, measured = report["layers"], "run" in report
    found = list[Row]()
    for index, layer in enumerate(layers):
        stage = layer.get("stage")
        if measured and stage is not None:
            if index and layers[index - 1].get("stage") == stage:
                continue
            last = index
            while last < len(layers) and layers[last].get("stage") == stage:
                last += 1
        else:
            last = index + 1
        members = layers[index:last]
        key = "instructions" if measured else "instructions_estimate"
        counted = [member[key] or 0 for member in members]
        lead = index + max(range(len(counted)), key=counted.__getitem__)
        found.append(Row(index, last, lead, sum(counted), sum(member["macs"] for member in members)))
    return found


def heaviest(report: Report, count: int) -> list[Row]:
    """The rows with the most instructions, the heaviest first."""
    return sorted(rows(report), key=lambda row: -row.instructions)[:count]


def memory_share(memory: dict[str, int]) -> float | None:
    """Part of the limit that is used; None where there is no limit."""
    return None if memory["limit_bytes"] >= UNLIMITED_BYTES else memory["total_bytes"] / memory["limit_bytes"]


def _decimals(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4

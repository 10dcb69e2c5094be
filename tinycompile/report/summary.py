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
        slowest: seconds if all that lies in external memory waits for it as the board's file says; None where nothing
            does. `seconds` is then the time without any waiting.
        waits: what that assumes.
    """

    seconds: float
    cycles: int | None
    error_percent: float | None
    slowest: float | None = None
    waits: str = ""

    def text(self) -> str:
        """A time, or the range in which it is."""
        if self.slowest is None:
            return f"{_milliseconds(self.seconds)} ms"
        return f"{_milliseconds(self.seconds)} to {_milliseconds(self.slowest)} ms"


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
    seconds = ticks / board["clock_hz"]
    factor, waits = waiting(report)
    return Duration(seconds, cycles, error, seconds * factor if waits else None, waits)


def waiting(report: Report) -> tuple[float, str]:
    """(how much longer an inference takes if its layers wait for external memory, what that assumes in words).

    A layer whose weights, or whose tensors, lie in an external memory takes as many times as long as the board's file
    says of that memory (`cost`): an estimate of what is behind caches, not a bound. Nothing in external memory: 1, "".
    """
    slow = {m["name"]: m for m in report.get("memories", ()) if m.get("external") and m["cost"] > 1}
    everywhere = [m for m in slow.values() if m["holds"].keys() & {"arena", "scratch", "stack"}]
    counts, _ = layer_counts(report)
    costs = [
        max((m["cost"] for m in (*everywhere, *(slow[n] for n in layer.get("weights_in", ()) if n in slow))), default=1)
        for layer in report["layers"]
    ]
    total = sum(counts)
    if not slow or not total or max(costs) <= 1:
        return 1.0, ""
    kinds = {name: "tensors" if slow[name] in everywhere else "weights" for name in slow}
    words = [f"{slow[n]['cost']:g} times as long for layers with {kinds[n]} in {n}" for n in slow]
    factor = sum(count * cost for count, cost in zip(counts, costs, strict=True)) / total
    return factor, f"from no waiting at all to {' and '.join(words)}, which the board's file estimates"


def places(report: Report, part: str) -> list[tuple[str, int]]:
    """(memory, bytes) of everything of a kind: "weights", "code", "arena", ..."""
    return [(m["name"], m["holds"][part]) for m in report.get("memories", ()) if part in m["holds"]]


def range_text(bounds: dict[str, int]) -> str:
    """Cycles between two bounds, or their number."""
    low, high = bounds["low"], bounds["high"]
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.{_decimals(seconds * 1e3)}f}"


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

"""The Pareto front of a search as people and `report.json` see it: bytes, instructions and what is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from tinycompile.mixed_precision.choice import Choice
from tinycompile.mixed_precision.search import Fit

HEADER = "      bytes   instructions  predicted  layers with few bits, and what was measured"
"""Of the lines that `Row.describe` makes."""


@dataclass(frozen=True, eq=False)
class Row:
    """A point of the front: bytes and instructions of the layers that may have few bits, and what they lose.

    Attributes:
        predicted: SQNR of the scores against the network of 8 bits, dB; infinite for that network itself.
        fit: how it was fitted and measured; None for points that are only predicted.
        channels: (left, of how many) by the value that loses some.
    """

    choice: Choice
    predicted: float
    fit: Fit | None
    channels: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    def describe(self) -> str:
        bits = self.choice.bits.values()
        counts = ", ".join(f"{sum(b == n for b in bits)} of {n} bits" for n in (4, 3, 2) if n in bits) or "all 8 bits"
        gone = sum(width - kept for kept, width in self.channels.values())
        counts += f", {gone} channels removed" if gone else ""
        measured = self.fit.measured.describe() if self.fit is not None else ""
        return (
            f"{self.choice.bytes:>11,} {self.choice.instructions:>14,}  {self._loss():>9}  {counts}"
            f"{'  ' + measured if measured else ''}"
        )

    def _loss(self) -> str:
        """Nothing is lost to the network of 8 bits by itself."""
        return f"{self.predicted:.1f} dB" if isfinite(self.predicted) else "reference"

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`, which has no infinite numbers."""
        measured = None if self.fit is None else self.fit.measured
        return {
            "weights_bytes": self.choice.bytes,
            "instructions_estimate": self.choice.instructions,
            "predicted_sqnr_db": _finite(self.predicted),
            "bits": dict(self.choice.bits),
            "channels": {name: {"kept": kept, "of": width} for name, (kept, width) in self.channels.items()},
            "chosen": self.fit is not None,
            "measured": None
            if measured is None
            else {
                "sqnr_db": _finite(measured.sqnr),
                "agreement": measured.agreement,
                "accuracy": None if measured.accuracy is None else measured.accuracy[1],
                "reference_accuracy": None if measured.accuracy is None else measured.accuracy[0],
            },
        }


def front_facts(rows: Sequence[Row], measured_on: str) -> dict[str, Any]:
    """`low_bits` in `report.json`: all points, by falling bytes."""
    return {"measured_on": measured_on, "front": [row.as_dict() for row in rows]}


def _finite(number: float) -> float | None:
    return float(number) if isfinite(number) else None

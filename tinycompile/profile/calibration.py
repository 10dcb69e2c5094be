"""How far estimated cycles were from published measurements on silicon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """One model of MLPerf Tiny or MCUNet on one board.

    Attributes:
        estimated_ms: by this kind of model of the core, of `estimated_of` in QEMU.
        published_ms: of `published_of`, on silicon.
    """

    core: str
    model: str
    board: str
    clock_mhz: int
    estimated_of: str
    estimated_ms: float
    published_of: str
    published_ms: float

    @property
    def error_percent(self) -> float:
        """Positive where the estimate is too high."""
        return 100 * (self.estimated_ms / self.published_ms - 1)


_L4R5 = ("NUCLEO-L4R5ZI", 120, "TFLM + CMSIS-NN", "microTVM + CMSIS-NN (MLPerf Tiny v1.0)")


def _m4(model: str, estimated: float, published: float) -> Comparison:
    board, clock, ours, theirs = _L4R5
    return Comparison("cortex-m4", model, board, clock, ours, estimated, theirs, published)


COMPARISONS = (
    _m4("ad", 6.05, 8.60),
    _m4("ic", 306.0, 389.6),
    _m4("kws", 80.0, 99.8),
    _m4("vww", 255.0, 301.2),
    Comparison("cortex-m7", "MCUNet vww", "STM32H743", 480, "TinyEngine", 51.5, "TinyEngine (MCUNet)", 51.0),
)
"""The estimates are those of an experiment with the same kind of model, of engines that are not part of this project;
docs/benchmarks.md says how that model's figures and ours compare on the same firmware."""

FEW = 3
"""With fewer comparisons than these a core's error isn't known from them."""


def error_percent(core: str) -> float | None:
    """The largest deviation found, in percent of the measured time; None for a core that was never compared.

    A core with few comparisons has at least the error of the cores with many.
    """
    errors = {c: [abs(x.error_percent) for x in COMPARISONS if x.core == c] for c in {x.core for x in COMPARISONS}}
    if core not in errors:
        return None
    known = errors[core]
    if len(known) < FEW:
        known = [e for found in errors.values() for e in found]
    return round(max(known), 1)

"""How far simulated times were from published measurements on silicon.

Each comparison has the engine and the model that somebody timed on a board: built, run in QEMU on the board's stand-in,
its instructions priced by the model of the core and its accesses by the simulated caches and memories of the board.
docs/benchmarks.md says what was built and how. No figure of a board or a core was fitted to any of the measurements.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """One model on one board, by an engine whose code is public.

    Attributes:
        core: as a model of cycles is named. board: in `board_support`.
        core_cycles: by the model of the core. waiting: low and high bound of what the core waits for its memories.
        published_ms: of an inference, on silicon. source: who says so, and where.
    """

    core: str
    board: str
    clock_mhz: int
    model: str
    engine: str
    core_cycles: int
    waiting: tuple[int, int]
    published_ms: float
    source: str

    @property
    def simulated_ms(self) -> float:
        """With what is waited for in the middle of its bounds."""
        return (self.core_cycles + sum(self.waiting) / 2) / (1000 * self.clock_mhz)

    @property
    def error_percent(self) -> float:
        """Positive where the simulation is too slow."""
        return 100 * (self.simulated_ms / self.published_ms - 1)


_TVM = "microTVM + CMSIS-NN"
_OCTOML = "MLPerf Tiny v1.0 (2022), closed, OctoML"


def _l4r5(model: str, core_cycles: int, waiting: tuple[int, int], published: float) -> Comparison:
    return Comparison("cortex-m4", "nucleo-l4r5zi", 120, model, _TVM, core_cycles, waiting, published, _OCTOML)


def _nrf5340(model: str, core_cycles: int, waiting: tuple[int, int], published: float) -> Comparison:
    return Comparison("cortex-m33", "nrf5340", 128, model, _TVM, core_cycles, waiting, published, _OCTOML)


def _h743(engine: str, core_cycles: int, waiting: tuple[int, int], published: float) -> Comparison:
    source = "mit-han-lab/tinyengine, README (2022-12)"
    return Comparison("cortex-m7", "stm32h743", 480, "MCUNet vww1", engine, core_cycles, waiting, published, source)


COMPARISONS = (
    _l4r5("ad", 808_450, (170_394, 171_430), 8.605),
    _l4r5("ic", 39_625_824, (4_710_594, 5_688_630), 389.6),
    _l4r5("kws", 10_377_321, (836_632, 910_980), 99.81),
    _l4r5("vww", 30_693_064, (2_854_291, 3_538_200), 301.2),
    _nrf5340("ad", 704_666, (69_328, 138_656), 6.266),
    _nrf5340("ic", 34_625_735, (751_556, 1_503_112), 316.2),
    _nrf5340("kws", 8_966_032, (14_188, 28_376), 76.09),
    _nrf5340("vww", 26_797_904, (83_968, 167_936), 232.0),
    Comparison(
        "cortex-m0plus",
        "rp2040",
        125,
        "person detection",
        "TFLM + CMSIS-NN",
        114_995_034,
        (2_534_480, 2_534_480),
        823.7,
        "raspberrypi/pico-tflmicro, benchmark_results.txt (2024), one core",
    ),
    _h743("TinyEngine", 24_712_540, (2_448_658, 4_878_880), 51.0),
    _h743("TFLM + CMSIS-NN", 38_253_981, (2_495_792, 7_458_546), 97.0),
)
"""Throughputs of MLPerf are the medians of `results.txt`, as milliseconds."""

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


def left_out(comparisons: Sequence[Comparison] = COMPARISONS) -> list[float]:
    """Errors in percent of each comparison, predicted with a common factor that was fitted to all others.

    The factor is the median of measured by simulated time. Estimates don't use it: it says whether the errors
    are those of a few comparisons, which would then predict the others badly.
    """
    ratios = [c.published_ms / c.simulated_ms for c in comparisons]
    factors = [statistics.median([*ratios[:i], *ratios[i + 1 :]]) for i in range(len(ratios))]
    return [100 * (factor / ratio - 1) for factor, ratio in zip(factors, ratios, strict=True)]

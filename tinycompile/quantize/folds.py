"""Ranges for values that nobody has seen yet: a factor times the extremes of the samples.

The largest of few numbers is smaller than the largest of many: a mean or a score that has few values in a sample
goes beyond the extremes of 64 samples in every thirtieth of the next ones, and clipping those costs more than all
rounding. So ranges are judged by what they do to other samples than those whose extremes they are made of, and by how
far the tail beyond the extremes goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.ranges import rounded_to, scale_of

FOLDS = 4
"""Parts of the samples; each is judged with ranges from the others."""
FACTORS = (0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.92, 1.0, 1.1, 1.2, 1.35, 1.5, 1.7, 2.0)
"""From a third of the values' range, where most of it are outliers, to twice of it, for few values with long tails."""
_TAIL = 0.3
"""How much of the clipping that the tail's model expects counts: from 0.1 to 1 the mean of 12 nets varies by 0.2 dB."""
_LOOKED_AT = 2048
"""Elements of each sample."""


@dataclass(frozen=True, eq=False)
class Extremes:
    """The smallest and the largest value of a tensor in each sample.

    Attributes:
        low, high: float64 (samples,); one of each where the first axis doesn't count samples.
        fold: int64 (samples,), which part each belongs to; None where they aren't told apart.
        bounds: what no value of the tensor can exceed, as the function that makes it says, or needn't, as those that
            read it say.
    """

    low: Array
    high: Array
    fold: Array | None
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @staticmethod
    def of(value: Array, count: int) -> Extremes:
        """Of `count` samples, one behind the other along the first axis."""
        apart = value.ndim > 0 and value.shape[0] % count == 0
        rows = value.reshape(count if apart else 1, -1)
        return Extremes(rows.min(axis=1).astype(np.float64), rows.max(axis=1).astype(np.float64), None)

    @staticmethod
    def joined(parts: Sequence[Extremes], bounds: tuple[float, float]) -> Extremes:
        """Of more samples, in folds if there are enough."""
        low, high = (np.concatenate([getattr(part, name) for part in parts]) for name in ("low", "high"))
        apart = len(low) >= 2 * FOLDS
        fold = np.random.default_rng(0).permutation(len(low)) % FOLDS if apart else None
        return Extremes(low, high, fold, bounds)

    def range(self, factor: float) -> tuple[float, float]:
        """What the factor makes of the extremes of all samples."""
        low, high = min(0.0, float(self.low.min())), max(0.0, float(self.high.max()))
        # Where even the extremes reach the bounds, they are no accident of the samples.
        return max(factor * low, self.bounds[0]), min(factor * high, self.bounds[1])

    def grid(self, factor: float) -> tuple[float, int]:
        """(scale, zero point) from all samples."""
        return scale_of(*self.range(factor))

    def grids(self, factor: float, chosen: Array) -> tuple[Array, Array]:
        """The same for each of some samples, from those that aren't in its fold: float32 and int64 (chosen,)."""
        if self.fold is None:
            scale, zero_point = self.grid(factor)
            return np.array([scale], np.float32), np.array([zero_point])
        found = [self._without(fold).grid(factor) for fold in range(FOLDS)]
        scales, zero_points = np.array([f[0] for f in found], np.float32), np.array([f[1] for f in found])
        return scales[self.fold[chosen]], zero_points[self.fold[chosen]]

    def _without(self, fold: int) -> Extremes:
        kept = self.fold != fold
        return replace(self, low=self.low[kept], high=self.high[kept], fold=None)


def best_factor(extremes: Extremes, value: Array, chosen: Array) -> int:
    """Index of the factor of `FACTORS` with the smallest squared error that is expected of new samples.

    Args:
        value: the tensor in some samples, one behind the other along the first axis.
        chosen: their numbers among all samples.
    """
    apart = extremes.fold is not None and value.shape[0] % len(chosen) == 0
    rows = value.reshape(len(chosen) if apart else 1, -1)
    rows = rows[:, :: max(1, rows.shape[1] // _LOOKED_AT)].clip(*extremes.bounds)
    return int(np.argmin([_cost(extremes, rows, chosen, factor) for factor in FACTORS]))


def _cost(extremes: Extremes, rows: Array, chosen: Array, factor: float) -> float:
    """Mean squared error of an element."""
    low, high = extremes.range(factor)
    unseen = float(np.square(rounded_to(rows, *extremes.grids(factor, chosen)) - rows).mean())
    clipped = float((np.square(np.maximum(rows - high, 0)) + np.square(np.minimum(rows - low, 0))).mean())
    beyond = sum(
        tail_power(np.maximum(side, 0), limit)
        for side, limit, bound in (
            (extremes.high, high, extremes.bounds[1]),
            (-extremes.low, -low, -extremes.bounds[0]),
        )
        if 0 < limit < bound
    )
    rounding = (high - low) ** 2 / (12 * 255**2)
    return max(unseen, rounding + max(clipped, _TAIL * beyond / rows.shape[1]))


def tail_power(peaks: Array, limit: float) -> float:
    """The mean square of what exceeds a limit in new samples, given the largest value of each known one.

    The upper quarter of the peaks is taken for the beginning of an exponential tail; 0 where the limit is below that:
    the samples themselves tell.
    """
    count = max(2, len(peaks) // 4)
    if len(peaks) <= count:
        return 0.0
    ordered = np.sort(peaks)
    start = float(ordered[-count - 1])
    decay = max(float((ordered[-count:] - start).mean()), 1e-300)
    if limit <= start:
        return 0.0
    return count / len(peaks) * 2 * decay**2 * float(np.exp(-(limit - start) / decay))

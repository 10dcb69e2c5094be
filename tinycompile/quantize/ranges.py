"""What calibration samples say about a model's float tensors: their values' range, by several criteria."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.scales import SMALLEST

METHODS = ("minmax", "percentile", "mse")
BINS = 2048
_PERCENTILE = 99.99


@dataclass(frozen=True, eq=False)
class Observed:
    """A tensor's values over all samples.

    Attributes:
        low, high: the smallest and largest one.
        counts: a histogram of `BINS` equal bins from low to high.
    """

    low: float
    high: float
    counts: Array

    @property
    def centres(self) -> Array:
        edges = np.linspace(self.low, self.high, BINS + 1)
        return (edges[1:] + edges[:-1]) / 2


def scale_of(low: float, high: float) -> tuple[float, int]:
    """(scale, zero point) of int8 for real numbers from low to high; 0 is always one of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0 / 256, 0
    scale = float(np.float32(max((high - low) / 255, SMALLEST)))
    zero_point = int(np.clip(np.rint(-128 - low / scale), -128, 127))
    return scale, zero_point


def rounded_to(value: Array, scale: float | Array, zero_point: int | Array, bits: int = 8) -> Array:
    """DequantizeLinear of QuantizeLinear to int8 or int16, in float32.

    Args:
        scale, zero_point: numbers, or (samples,) for samples that are one behind the other along the first axis.
    """
    end = 1 << bits - 1
    scale, zero_point = np.asarray(scale, np.float32), np.asarray(zero_point, np.float32)
    rows = value.reshape(scale.size, -1)
    scale, zero_point = scale.reshape(-1, 1), zero_point.reshape(-1, 1)
    result = rows / scale
    np.rint(result, out=result)
    np.clip(result, -end - zero_point, end - 1 - zero_point, out=result)
    result *= scale
    return result.reshape(value.shape)


def is_crowded(observed: Observed, scale: float, zero_point: int) -> bool:
    """Whether all but a thousandth of a tensor's values share three of the 256 numbers: some outlier sets its range."""
    levels = np.clip(np.rint(observed.centres / scale) + zero_point, -128, 127)
    near = observed.counts[np.abs(levels - zero_point) <= 1].sum()
    return observed.high > observed.low and near > 0.999 * observed.counts.sum()


def clipped_part(observed: Observed, scale: float, zero_point: int) -> float:
    """How many of a tensor's values are beyond the ends of its 8 bits by more than a step, from 0 to 1."""
    levels = np.rint(observed.centres / scale) + zero_point
    return float(observed.counts[(levels < -129) | (levels > 128)].sum() / max(1, observed.counts.sum()))


def range_of(observed: Observed, method: str) -> tuple[float, float]:
    """The real numbers that int8 should cover."""
    return _FINDERS[method](observed)


def _minmax(observed: Observed) -> tuple[float, float]:
    return observed.low, observed.high


def _percentile(observed: Observed) -> tuple[float, float]:
    cumulative = np.cumsum(observed.counts) / max(1, observed.counts.sum())
    tail = (1 - _PERCENTILE / 100) / 2
    edges = np.linspace(observed.low, observed.high, BINS + 1)
    first, last = np.searchsorted(cumulative, tail), np.searchsorted(cumulative, 1 - tail)
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last + 1, BINS)]))


def _mse(observed: Observed) -> tuple[float, float]:
    """The smallest mean squared error among ranges that cut a part off one or both ends."""
    centres, weights = observed.centres, observed.counts
    best, found = np.inf, (observed.low, observed.high)
    steps = np.concatenate([np.linspace(1.0, 0.3, 29), np.linspace(0.28, 0.04, 9)])
    for low_part in steps if observed.low < 0 else (1.0,):
        for high_part in steps if observed.high > 0 else (1.0,):
            if observed.low < 0 < observed.high and abs(low_part - high_part) > 0.25:
                continue
            low, high = observed.low * low_part, observed.high * high_part
            scale, zero_point = scale_of(low, high)
            quantized = np.clip(np.rint(centres / scale) + zero_point, -128, 127)
            error = float(np.sum(weights * ((quantized - zero_point) * scale - centres) ** 2))
            if error < best:
                best, found = error, (low, high)
    return found


_FINDERS: Mapping[str, Callable[[Observed], tuple[float, float]]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "mse": _mse,
}

"""What calibration samples say about a model's float tensors: their values' range, by several criteria."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import SamplesError, ToolMissingError
from tinycompile.frontend.onnx_file import onnx_module
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
        channel_peak: the largest magnitude per channel (axis 1 of images, else the last one).
    """

    low: float
    high: float
    counts: Array
    channel_peak: Array

    @property
    def centres(self) -> Array:
        edges = np.linspace(self.low, self.high, BINS + 1)
        return (edges[1:] + edges[:-1]) / 2


class FloatSession:
    """Runs a float model sample by sample, with the values one asks for."""

    def __init__(self, model: Any, wanted: Sequence[str]) -> None:
        """Raises ToolMissingError without onnxruntime."""
        try:
            import onnxruntime
        except ImportError as error:
            raise ToolMissingError(
                "onnxruntime is not installed",
                why="calibration runs the float model with it",
                hint="pip install 'tinycompile[quantize]'",
            ) from error
        onnx = onnx_module()
        clone = type(model)()
        clone.CopyFrom(model)
        del clone.graph.output[:]
        clone.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        content = clone.SerializeToString()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.wanted = list(wanted)

    def run(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        if not self.wanted:
            return {}
        results = self._session.run(self.wanted, dict(sample))
        return {name: np.asarray(value) for name, value in zip(self.wanted, results, strict=True)}


def observe(model: Any, names: Sequence[str], samples: Sequence[Mapping[str, Array]]) -> dict[str, Observed]:
    """The values of tensors over all samples, in two runs: ranges first, then histograms.

    Raises:
        SamplesError: a value isn't finite; names the tensor and the sample.
    """
    inputs = {v.name for v in model.graph.input}
    session = FloatSession(model, [name for name in names if name not in inputs])

    def each() -> Any:
        for sample in samples:
            yield {**{n: sample[n] for n in names if n in sample}, **session.run(sample)}

    low, high, peaks = dict[str, float](), dict[str, float](), dict[str, Array]()
    for number, values in enumerate(each()):
        for name in names:
            value = values[name]
            _check_finite(name, value, number)
            peak = _channel_peak(value)
            low[name] = min(low.get(name, 0.0), float(value.min()))
            high[name] = max(high.get(name, 0.0), float(value.max()))
            peaks[name] = np.maximum(peaks.get(name, peak), peak)
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for values in each():
        for name in names:
            ends = (low[name], high[name] if high[name] > low[name] else low[name] + 1)
            counts[name] += np.histogram(values[name].astype(np.float64), BINS, ends)[0]
    return {name: Observed(low[name], high[name], counts[name], peaks[name]) for name in names}


def _check_finite(name: str, value: Array, sample: int) -> None:
    wrong = int(np.sum(~np.isfinite(value)))
    if wrong:
        raise SamplesError(
            f"tensor {name!r} of the float model is not finite: {wrong} of {value.size} values in sample {sample}",
            why="infinity and NaN have no 8-bit numbers",
            hint="look for a division by zero or an overflow in the layers before it, or for a sample that is wrong",
        )


def _channel_peak(value: Array) -> Array:
    axis = 1 if value.ndim >= 3 else value.ndim - 1
    others = tuple(i for i in range(value.ndim) if i != axis)
    return np.abs(value).max(axis=others)


def scale_of(low: float, high: float) -> tuple[float, int]:
    """(scale, zero point) of int8 for real numbers from low to high; 0 is always one of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0 / 256, 0
    scale = float(np.float32(max((high - low) / 255, SMALLEST)))
    zero_point = int(np.clip(np.rint(-128 - low / scale), -128, 127))
    return scale, zero_point


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

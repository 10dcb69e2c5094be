"""What the float network's values are for all samples, looked at in parts that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinycompile.errors import SamplesError
from tinycompile.ir import Array
from tinycompile.quantize.execution import Sample
from tinycompile.quantize.folds import Extremes
from tinycompile.quantize.network import Network
from tinycompile.quantize.qdq import RANGES_OF_FUNCTIONS
from tinycompile.quantize.ranges import BINS, Observed
from tinycompile.quantize.saturation import functions_behind, saturation

_IN_HISTOGRAMS = 2**18
"""Elements of a tensor at most, of each part of the samples."""


def surveyed(network: Network, samples: Sequence[Sample]) -> tuple[dict[str, Extremes], dict[str, Observed]]:
    """Of every tensor that is rounded, in the order in which they are computed.

    Args:
        network: with some of the samples, as many as are looked at together.

    Raises:
        SamplesError: a value isn't finite; names the tensor and the sample.
    """
    names = [name for name in (*network.graph.inputs, *network.step_of) if name in network.rounded]
    parts: dict[str, list[Extremes]] = {name: [] for name in names}
    behind, ends = functions_behind(network.graph), dict[str, list[tuple[float, float]]]()
    for first, part in _parts(network, samples):
        for name in names:
            value = part.floats[name]
            _check_finite(name, value, first, part.count)
            parts[name].append(Extremes.of(value, part.count))
            results = [part.floats[each] for each in behind.get(name, ()) if each in part.floats]
            if results and len(results) == len(behind[name]):
                ends.setdefault(name, []).append(saturation(value, results))
    extremes = {
        name: Extremes.joined(found, _within(_bounds(network, name), ends.get(name, ())))
        for name, found in parts.items()
    }
    observed = {
        name: Observed(min(0.0, float(found.low.min())), max(0.0, float(found.high.max())), np.zeros(BINS, np.int64))
        for name, found in extremes.items()
    }
    for _, part in _parts(network, samples):
        for name, found in observed.items():
            found.counts[:] += _histogram(part.floats[name], found.low, found.high)
    return extremes, observed


def _parts(network: Network, samples: Sequence[Sample]) -> Iterator[tuple[int, Network]]:
    """(number of the first sample, network with some samples)."""
    if len(samples) == network.count:
        yield 0, network
        return
    for first in range(0, len(samples), network.count):
        yield first, network.on(samples[first : first + network.count])


def _histogram(value: Array, low: float, high: float) -> Array:
    flat = value.reshape(-1)
    flat = flat[:: -(-flat.size // _IN_HISTOGRAMS)].astype(np.float64)
    width = (high if high > low else low + 1) - low
    places = np.clip(((flat - low) * (BINS / width)).astype(np.int64), 0, BINS - 1)
    return np.bincount(places, minlength=BINS)


def _bounds(network: Network, name: str) -> tuple[float, float]:
    """What the function that makes a value can't exceed."""
    node = network.producers.get(name)
    if node is None:
        return -np.inf, np.inf
    if node.op_type == "Clip":
        low, high = (network.graph.constants.get(each) for each in (*node.input[1:], "", "")[:2])
        return -np.inf if low is None else float(low.reshape(())), np.inf if high is None else float(high.reshape(()))
    return RANGES_OF_FUNCTIONS.get(node.op_type, (-np.inf, np.inf))


def _within(bounds: tuple[float, float], ends: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Narrowed to where functions change what it says, in any part of the samples."""
    if not ends:
        return bounds
    return max(bounds[0], min(low for low, _ in ends)), min(bounds[1], max(high for _, high in ends))


def _check_finite(name: str, value: Array, first: int, count: int) -> None:
    wrong = ~np.isfinite(value)
    if np.any(wrong):
        apart = len(value) % count == 0
        sample = first + (int(np.argmax(wrong.reshape(count, -1).any(axis=1))) if apart else 0)
        raise SamplesError(
            f"tensor {name!r} of the float model is not finite: {int(wrong.sum())} of {value.size} values in "
            f"{count} samples, the first in sample {sample}",
            why="infinity and NaN have no 8-bit numbers",
            hint="look for a division by zero or an overflow in the layers before it, or for a sample that is wrong",
        )

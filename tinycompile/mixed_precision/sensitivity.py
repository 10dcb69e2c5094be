"""What few bits in one layer alone do to an int8 network's outputs, for each layer and number of bits.

Measured without the roundings of activations: an int8 network turns any small change into whole steps in all layers
behind it, so that its outputs tell neither layers nor numbers of bits apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.expected import expected
from tinycompile.mixed_precision.fitting import Operands, damping_of, means, rows_of, windows_of
from tinycompile.mixed_precision.network import Layer, Network, Parameters, flat
from tinycompile.progress import step

COLUMNS = 2048
"""Windows at most for the statistics of a layer here: what is compared are tenfold differences."""

_ELEMENTS = 1 << 26
"""Of all values of all samples together, at most: they are kept."""

_WORK, _LEAST, _MOST = 5e10, 4, 64
"""Multiply-accumulates of all trials together, about; samples, at least and at most."""


def samples_for(elements: int, products: int, trials: int) -> int:
    """As many samples as can be kept with all their values, and tried with in half a minute.

    Args:
        elements: of all values of a sample. products: multiply-accumulates of an inference.
    """
    each = max(1, products) * max(1, trials) / 2  # a trial runs what is behind the layer
    return int(max(_LEAST, min(_MOST, _ELEMENTS // max(1, elements), _WORK // each)))


def samples_of(network: Network, trials: int) -> int:
    """`samples_for` a network."""
    graph = network.graph
    elements = sum(t.elements for name, t in graph.types.items() if name not in graph.constants)
    return samples_for(elements, graph.macs(), trials)


def sensitivities(
    network: Network, inputs: Mapping[str, Array], layers: Iterable[Layer], widths: Sequence[int]
) -> dict[tuple[str, int], float]:
    """Power of the outputs' errors as a part of their own, of the worst output; by layer and bits.

    Args:
        inputs: as `Network.inputs` makes them, of few samples: all their values are kept.
    """
    values, found = dict(inputs), dict[tuple[str, int], float]()
    for node in network.graph.nodes:
        values.update(zip(node.outputs, network.compute(node, values, None, rounded=False), strict=True))
    reference = [flat(values[name]) for name in network.scores]
    for layer in layers:
        step(f"trying {layer.name} with {', '.join(map(str, widths))} bits")
        operands = Operands.of(windows_of(layer, values[layer.operand], COLUMNS))
        wanted = means(layer, layer.own.weights, operands.mean) + layer.own.bias
        for bits in widths:
            tried, part = expected(rows_of(layer), operands.moment, bits, damping_of(operands))
            weights = tried.weights.reshape(layer.own.weights.shape)
            bias = wanted - means(layer, weights, operands.mean) if layer.has_bias else layer.own.bias
            outputs = network.changed(values, {layer.name: Parameters(weights, bias)}, rounded=False)
            found[layer.name, bits] = part * noise(reference, outputs)
    return found


def noise(reference: Sequence[Array], outputs: Sequence[Array]) -> float:
    """Power of the error as a part of the signal's, of the worst output."""
    parts = list[float]()
    for wanted, given in zip(reference, outputs, strict=True):
        signal = float(np.square(wanted, dtype=np.float64).sum())
        error = float(np.square(wanted - given, dtype=np.float64).sum())
        parts.append(error / max(signal, 1e-300))
    return max(parts)

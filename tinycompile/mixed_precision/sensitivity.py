"""What few bits in one layer alone do to a network's outputs, for each layer and number of bits.

Measured without the roundings of activations: an int8 network turns any small change into whole steps in all layers
behind it, so that its outputs tell neither layers nor numbers of bits apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.fitting import LowBits, Operands, low_bits, means, windows_of
from tinycompile.mixed_precision.network import Layer, Network, Parameters, flat
from tinycompile.progress import step
from tinycompile.quantize.low_bits import WeightMethod

COLUMNS = 2048
"""Windows at most for the statistics of a layer here: what is compared are tenfold differences."""

_ELEMENTS = 1 << 26
"""Of all values of all samples together, at most: they are kept."""

_WORK, _LEAST, _MOST = 5e10, 4, 64
"""Multiply-accumulates of all trials together, about; samples, at least and at most."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A layer with some bits.

    Attributes:
        noise: power of the outputs' errors as a part of their own, of the worst output.
        tried: the weights that were put in.
    """

    layer: str
    bits: int
    noise: float
    tried: LowBits


def samples_for(network: Network, layers: int, widths: int) -> int:
    """As many samples as can be kept with all their values, and tried with in half a minute."""
    graph = network.graph
    elements = sum(t.elements for name, t in graph.types.items() if name not in graph.constants)
    each = max(1, graph.macs()) * max(1, layers) * widths / 2  # a trial runs what is behind the layer
    return int(max(_LEAST, min(_MOST, _ELEMENTS // max(1, elements), _WORK // each)))


def sensitivities(
    network: Network,
    inputs: Mapping[str, Array],
    layers: Iterable[Layer],
    widths: Sequence[int],
    *,
    method: WeightMethod = "awq",
    replaced: Mapping[str, Parameters] | None = None,
) -> list[Trial]:
    """Every layer with every number of bits.

    Args:
        inputs: as `Network.inputs` makes them, of few samples: all their values are kept.
        replaced: parameters that other layers have meanwhile.
    """
    replaced = replaced or {}
    values, found = dict(inputs), list[Trial]()
    for node in network.graph.nodes:
        results = network.compute(node, values, replaced.get(node.name), rounded=False)
        values.update(zip(node.outputs, results, strict=True))
    reference = [flat(values[name]) for name in network.graph.outputs]
    for layer in layers:
        step(f"trying {layer.name} with {', '.join(map(str, widths))} bits")
        operands = Operands.of(windows_of(layer, values[layer.operand], COLUMNS))
        wanted = means(layer, layer.own.weights, operands.mean) + layer.own.bias
        for bits in widths:
            tried = low_bits(layer, operands, bits, wanted, method=method)
            outputs = network.changed(values, layer, tried.parameters(layer), replaced, rounded=False)
            found.append(Trial(layer.name, bits, noise(reference, outputs), tried))
    return found


def noise(reference: Sequence[Array], outputs: Sequence[Array]) -> float:
    """Power of the error as a part of the signal's, of the worst output."""
    parts = list[float]()
    for wanted, given in zip(reference, outputs, strict=True):
        signal = float(np.square(wanted, dtype=np.float64).sum())
        error = float(np.square(wanted - given, dtype=np.float64).sum())
        parts.append(error / max(signal, 1e-300))
    return max(parts)

"""What few bits in one layer alone do to an int8 network's outputs, for each layer and number of bits.

Measured without the roundings of activations: an int8 network turns any small change into whole steps in all layers
behind it, so that its outputs tell neither layers nor numbers of bits apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.expected import expected
from tinycompile.mixed_precision.fitting import Operands, damping_of, means, rows_of, windows_of
from tinycompile.mixed_precision.network import THREADS, Layer, Network, Parameters, flat
from tinycompile.progress import step
from tinycompile.quantize.low_bits import LowBitWeights

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


@dataclass(frozen=True, eq=False)
class Trials:
    """Layers of a network that were given few bits, one at a time.

    Attributes:
        inputs: that they were tried with. reference: the scores of the network as it is.
        noises: power of the scores' errors as a part of their own, of the worst one; by layer and bits.
        rounded: the weights, rounded on their own, and what makes up for them; by layer and bits.
    """

    network: Network
    inputs: Mapping[str, Array]
    reference: Sequence[Array]
    noises: Mapping[tuple[str, int], float]
    rounded: Mapping[tuple[str, int], tuple[LowBitWeights, Array]]

    def together(self, bits: Mapping[str, int]) -> float:
        """The noise of many layers, with the weights that were tried; without roundings of activations."""
        layers = self.network.layers
        given = {name: _parameters(layers[name], *self.rounded[name, each]) for name, each in bits.items()}
        return noise(self.reference, self.network.outputs(self.inputs, given, rounded=False))


def _parameters(layer: Layer, tried: LowBitWeights, bias: Array) -> Parameters:
    return Parameters(tried.weights.reshape(layer.own.weights.shape), bias)


def trials(network: Network, inputs: Mapping[str, Array], layers: Sequence[Layer], widths: Sequence[int]) -> Trials:
    """Each of the layers with each number of bits.

    Args:
        inputs: as `Network.inputs` makes them, of few samples: all their values are kept.
    """
    values = dict(inputs)
    for node in network.graph.nodes:
        values.update(zip(node.outputs, network.compute(node, values, None, rounded=False), strict=True))
    reference = [flat(values[name]) for name in network.scores]
    noises, rounded = dict[tuple[str, int], float](), dict[tuple[str, int], tuple[LowBitWeights, Array]]()

    def tried(layer: Layer) -> None:
        operands = Operands.of(windows_of(layer, values[layer.operand], COLUMNS))
        wanted = means(layer, layer.own.weights, operands.mean) + layer.own.bias
        for bits in widths:
            found, part = expected(rows_of(layer), operands.moment, bits, damping_of(operands))
            weights = found.weights.reshape(layer.own.weights.shape)
            bias = wanted - means(layer, weights, operands.mean) if layer.has_bias else layer.own.bias
            outputs = network.changed(values, {layer.name: Parameters(weights, bias)}, rounded=False)
            noises[layer.name, bits] = part * noise(reference, outputs)
            rounded[layer.name, bits] = found, bias

    with ThreadPoolExecutor(THREADS) as pool:  # NumPy and onnxruntime let each other work
        for layer, _ in zip(layers, pool.map(tried, layers), strict=True):
            step(f"tried {layer.name} with {', '.join(map(str, widths))} bits")
    return Trials(network, inputs, reference, noises, rounded)


def noise(reference: Sequence[Array], outputs: Sequence[Array]) -> float:
    """Power of the error as a part of the signal's, of the worst output."""
    parts = list[float]()
    for wanted, given in zip(reference, outputs, strict=True):
        signal = float(np.square(wanted, dtype=np.float64).sum())
        error = float(np.square(wanted - given, dtype=np.float64).sum())
        parts.append(error / max(signal, 1e-300))
    return max(parts)

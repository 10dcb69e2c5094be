"""How many channels of each class may go, and what that does to an int8 network's outputs.

Measured like few bits are (`sensitivity.py`): in the network without the roundings of activations, one class at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.channel_classes import ChannelClass, Channels
from tinycompile.mixed_precision.channel_ranking import Reader, cheapest
from tinycompile.mixed_precision.fitting import Operands, windows_of
from tinycompile.mixed_precision.network import Network, flat
from tinycompile.mixed_precision.sensitivity import COLUMNS, noise
from tinycompile.progress import step

STEP = 4
"""Channels are kept in such numbers: what blocks of kernels and words of weights hold."""
PARTS = (1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
"""Of a class, that are tried without."""
_EACH = 4
_DISTURBANCE = 0.1
"""Of a layer's results, by which it is found what errors of theirs count."""


@dataclass(frozen=True, eq=False)
class Level:
    """A number of channels that are left of a class.

    Attributes:
        gone: int64, those that are removed, in the order in which they go.
        loss: what that adds to the power of the outputs' error, as a part of their own.
    """

    kept: int
    gone: Array
    loss: float


def kept_counts(width: int) -> list[int]:
    """Of a class of so many channels, the most first; all of them aren't among these."""
    counts = (STEP * -(-int(np.ceil(width * (1 - part))) // STEP) for part in PARTS)
    return sorted({count for count in counts if count < width}, reverse=True)


def levels(network: Network, inputs: Mapping[str, Array], channels: Channels) -> dict[str, list[Level]]:
    """Of every class, all channels first.

    Every fourth sample is kept back: weights that make up for channels know the samples that they are fitted to.

    Args:
        inputs: as `Network.inputs` makes them, of few samples: all their values are kept.
    """
    held = np.arange(len(next(iter(inputs.values())))) % _EACH == _EACH - 1
    order, count = np.argsort(held, kind="stable"), int(np.sum(~held))
    values = {name: value[order] for name, value in inputs.items()}
    for node in network.graph.nodes:
        values.update(zip(node.outputs, network.compute(node, values, None, rounded=False), strict=True))
    fitted = {name: value[:count] for name, value in values.items()}
    unseen = {name: value[count:] for name, value in values.items()} if held.any() else fitted
    return {name: _levels(network, fitted, unseen, each) for name, each in channels.classes.items()}


def _levels(
    network: Network, values: Mapping[str, Array], unseen: Mapping[str, Array], channels: ChannelClass
) -> list[Level]:
    """Args: values: of the samples that weights are fitted to. unseen: of those that losses are measured on."""
    step(f"trying {channels.name} without some of its {channels.width} channels")
    readers, reference = _readers(network, values, channels), [flat(unseen[name]) for name in network.scores]
    found, gone = [Level(channels.width, np.zeros(0, np.int64), 0.0)], list[int]()
    for kept in kept_counts(channels.width):
        while channels.width - len(gone) > kept:
            chosen = cheapest(readers, np.setdiff1d(np.arange(channels.width), gone))
            for reader in readers:
                reader.remove(chosen)
            gone.append(chosen)
        changed = {reader.layer.name: reader.parameters for reader in readers}
        outputs = network.changed(unseen, changed, rounded=False)
        loss = max(noise(reference, outputs), found[-1].loss)  # what less is lost with is chance
        found.append(Level(kept, np.array(gone, np.int64), loss))
    return found


def _readers(network: Network, values: Mapping[str, Array], channels: ChannelClass) -> list[Reader]:
    """Those of several count as much as disturbing their results does to the outputs."""
    found, random = list[Reader](), np.random.default_rng(0)
    reference = [flat(values[name]) for name in network.scores]
    for name in channels.readers:
        layer = network.layers[name]
        reader = Reader(layer, Operands.of(windows_of(layer, values[layer.operand], COLUMNS)))
        if len(channels.readers) > 1:
            spread = _DISTURBANCE * np.sqrt(reader.power / layer.outputs)
            result = values[layer.result]
            disturbed = result + random.normal(0, spread, result.shape).astype(np.float32)
            outputs = network.behind({**values, layer.result: disturbed}, {layer.result}, rounded=False)
            reader.weight = noise(reference, outputs) / (layer.outputs * spread**2)
        found.append(reader)
    return found

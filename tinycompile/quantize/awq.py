"""Activation-aware weights: input channels that carry much are given larger weights, which rounding costs less of.

A layer's weights for a channel are multiplied by s, the channel itself is divided by it: by the weights of the layers
or of the normalisation that make it, where that is exact (`channels.py`); other channels stay. s is the channel's mean
magnitude to a power between 0 and 1, which is searched: by what the results of all layers that read it lose. The layers
that make it don't mind, since each of their output channels has a scale of its own.

Source: J. Lin et al., "AWQ: Activation-aware Weight Quantization", MLSys 2024, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.channels import Groups, can_scale, channel_axis, groups_of, scale_groups
from tinycompile.quantize.coded import rows_of
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.low_bit_layers import LowBitPlan, parts_of, weight_axis
from tinycompile.quantize.low_bits import column_blocks, fit_weights
from tinycompile.quantize.qdq import linear_layers
from tinycompile.quantize.windows import windows_of

EXPONENTS = tuple(np.linspace(0, 1, 11).round(1).tolist())
_LARGEST_FACTOR = 64.0
_LEAST = 1e-4
"""Part of the largest channel's magnitude that every other one is taken to have."""
_COLUMNS = 1024
"""Windows from which a layer's loss is estimated: only the moment's diagonal matters much."""


@dataclass(frozen=True, eq=False)
class _Reader:
    """A layer of few bits that reads channels which may be scaled.

    Attributes:
        numbers: of the operand's channels' groups.
        magnitudes: of the operand's channels, their mean.
        rows: (parts, outputs, depth), its weights.
        moment: (parts, depth, depth), of the operand's windows.
        channels: int (parts, depth), which channel each column reads.
    """

    numbers: Array
    magnitudes: Array
    rows: Array
    moment: Array
    channels: Array
    bits: int
    blocks: Array

    def noise(self, factors: Array) -> float:
        """What the result loses if the channels are divided by these, as part of its power."""
        by = factors[self.channels].astype(np.float32)
        moment = self.moment / (by[:, :, None] * by[:, None, :])
        return fit_weights(self.rows * by[:, None], moment, self.bits, blocks=self.blocks, method="awq").noise


def activation_aware(graph: FloatGraph, values: Mapping[str, Array], plan: LowBitPlan) -> FloatGraph:
    """The same function with larger weights where they matter more.

    Args:
        values: samples of what layers read, one behind the other along the first axis.
        plan: the layers whose weights have few bits.
    """
    groups = groups_of(graph)
    readers = [reader for layer in linear_layers(graph) for reader in _readers(graph, groups, layer, values, plan)]
    factors = np.ones(groups.count)
    for family in _families(readers):
        factors = _best(factors, family, groups)
    graph = graph.copy()
    scale_groups(graph, groups, factors)
    return graph


def _readers(
    graph: FloatGraph, groups: Groups, layer: Any, values: Mapping[str, Array], plan: LowBitPlan
) -> Iterable[_Reader]:
    """The layer, if its operand's channels can be scaled."""
    name, value = layer.input[0], values.get(layer.input[0])
    numbers = groups.by_channel(name)
    if layer.output[0] not in plan.bits or value is None or numbers is None or not can_scale(graph, layer):
        return
    axis = channel_axis(value)
    weights = graph.constants[layer.input[1]]
    windows = windows_of(layer, weights, value)
    if not np.any(groups.free[numbers]) or value.shape[axis] != len(numbers) or windows is None:
        return
    windows = windows[..., :: max(1, windows.shape[2] // _COLUMNS)]
    windows = windows - windows.mean(axis=2, keepdims=True)
    along, parts = weight_axis(layer, weights), parts_of(layer)
    rows = rows_of(weights, along, parts)
    yield _Reader(
        numbers,
        np.abs(value).mean(axis=tuple(at for at in range(value.ndim) if at != axis), dtype=np.float64),
        rows,
        windows @ windows.swapaxes(1, 2) / np.float32(windows.shape[2]),
        np.repeat(np.arange(len(numbers)).reshape(parts, -1), rows.shape[2] * parts // len(numbers), axis=1),
        plan.bits[layer.output[0]],
        column_blocks(rows.shape[2], plan.group_of(weights, along)),
    )


def _families(readers: Iterable[_Reader]) -> list[list[_Reader]]:
    """Readers that share channels."""
    families = list[list[_Reader]]()
    for reader in readers:
        related = [f for f in families if any(np.intersect1d(each.numbers, reader.numbers).size for each in f)]
        families = [f for f in families if not any(f is other for other in related)]
        families.append([*(each for family in related for each in family), reader])
    return families


def _best(factors: Array, family: list[_Reader], groups: Groups) -> Array:
    """The factors of all groups, those of a family's with the exponent with which its readers lose least."""
    magnitudes = np.zeros(groups.count)
    for reader in family:
        np.maximum.at(magnitudes, reader.numbers, reader.magnitudes)
    concerned = groups.free & (magnitudes > 0)
    if not np.any(concerned):
        return factors
    known = np.maximum(magnitudes[concerned], _LEAST * magnitudes.max())
    relative = np.ones(groups.count)
    relative[concerned] = known / np.exp(np.log(known).mean())
    tried = [np.clip(relative**exponent, 1 / _LARGEST_FACTOR, _LARGEST_FACTOR) for exponent in EXPONENTS]
    noises = [sum(reader.noise(each[reader.numbers]) for reader in family) for each in tried]
    return np.where(concerned, tried[int(np.argmin(noises))], factors)

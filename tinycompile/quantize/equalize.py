"""Equalisation: channels of small values are scaled up to their tensor's range, exactly, by weights on both sides.

Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section
4.1, with the activations' ranges in place of the first layer's weights, whose channels have scales of their own here;
G. Xiao et al., "SmoothQuant", ICML 2023, section 4, is the same migration with an exponent, into the factors and
summands of a normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.channels import Groups, can_scale, channel_axis, groups_of, operand_peaks, scale_groups
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.qdq import linear_layers

_LARGEST_FACTOR = 64.0
_UNSURE = 0.25
"""Part of a tensor's largest value that a channel with one value in a sample is taken to have."""


def equalized(
    graph: FloatGraph, values: Mapping[str, Array], exponent: float, strengths: Mapping[str, float] | None = None
) -> FloatGraph:
    """The same function with more even channels.

    Args:
        values: samples of the values that are quantised, one behind the other along the first axis.
        exponent: how much of the values' unevenness goes into the weights behind them, from 0 to 1; the rest is how
            much of those weights' unevenness goes into the values.
        strengths: other exponents of single values; 0 leaves one as it is.
    """
    groups = groups_of(graph)
    read, wanted = _read_with(graph, groups), np.zeros(groups.count)
    for name, value in values.items():
        numbers, axis = groups.by_channel(name), channel_axis(value)
        if numbers is None:  # of rows with a norm in front of them
            numbers, axis = groups.by_column(name), value.ndim - 1
        if numbers is None or value.shape[axis] != len(numbers):
            continue
        peak = np.abs(value).max(axis=tuple(i for i in range(value.ndim) if i != axis)).astype(np.float64)
        alive = (peak > 0) & (read[numbers] > 0)
        strength = exponent if strengths is None else strengths.get(name, exponent)
        if not np.any(alive) or not strength:
            continue
        # Of few values the largest is chance: channels that hardly ever have one aren't scaled up until none fits.
        peak = peak + peak.max() * _UNSURE / np.sqrt(max(1.0, value[0].size / len(numbers)))
        raw = peak**strength / np.maximum(read[numbers], 1 / _LARGEST_FACTOR) ** (1 - strength)
        # The largest value stays what it is: more for one channel would be less for the others.
        found = np.clip(raw / raw[alive].max(), peak / peak.max(), 1.0)
        np.maximum.at(wanted, numbers[alive], found[alive])
    factors = np.where(groups.free & (wanted > 0), np.clip(wanted, 1 / _LARGEST_FACTOR, 1.0), 1.0)
    graph = graph.copy()
    scale_groups(graph, groups, factors)
    return graph


def _read_with(graph: FloatGraph, groups: Groups) -> Array:
    """float64 (groups,): the largest weight that each is multiplied with, as a part of its layer's largest."""
    found = np.zeros(groups.count)
    for layer in linear_layers(graph):
        numbers = groups.by_channel(layer.input[0]) if can_scale(graph, layer) else None
        if numbers is not None:
            peak = operand_peaks(graph, layer)
            np.maximum.at(found, numbers, peak / max(float(peak.max()), 1e-300))
    return found

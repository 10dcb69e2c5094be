"""Ranges of quantised tensors that can't be meant: seen in the file alone, without samples.

`verify` with real samples says what ranges cost (docs/verification.md#ranges); this says which are wrong on their face.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Graph, Node
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected

UNUSED = 16
"""Times a range is wider than what the weights can reach: four of eight bits say nothing."""

NARROW = 4
"""Times the spread of the sums is larger than the whole range: nearly all results are at its ends."""

SMALLEST, LARGEST = 1e-12, 1e12
"""Scales beyond these come from a calibration without samples, or with damaged ones."""

_STEPS = 256


def implausible_ranges(graph: Graph) -> Iterator[tuple[str, str]]:
    """(tensor, what is wrong with its range)."""
    for name, t in graph.types.items():
        if name in graph.constants or t.quant is None or not t.quant.is_per_tensor:
            continue
        if not SMALLEST < t.scale < LARGEST:
            yield name, f"the scale {t.scale:.3g}: a calibration without samples, or with damaged ones?"
    for node in graph.nodes:
        reason = _of_layer(graph, node)
        if reason is not None:
            yield node.outputs[0], reason


def _of_layer(graph: Graph, node: Node) -> str | None:
    """Of a layer with constant weights: what they can reach, and how far its sums spread for an input that uses its
    range evenly, both in steps of the output.
    """
    if not isinstance(node.op, Conv2D | DepthwiseConv2D | FullyConnected):
        return None
    site = graph.site(node)
    if site.sig.input.dtype != INT8 or any(c is None for c in site.constants[1:]) or has_wide_weights(site):
        return None
    layer = LinearLayer.of(site)
    factor: Array = layer.rule.real_scale()
    low, high = layer.acc_range
    reach = float(((high - low) * factor).max(initial=0))
    if 0 < reach * UNUSED < _STEPS:
        times = _STEPS / reach
        return f"the range is {times:.0f} times wider than what the weights can reach: {np.log2(times):.0f} bits unused"
    spread = np.sqrt(np.square(layer.matrix).sum(axis=1)) * (_STEPS / np.sqrt(12)) * factor
    typical = float(np.median(spread)) if spread.size else 0.0
    if typical > NARROW * _STEPS:
        return f"the sums spread {typical / _STEPS:.1f} times as wide as the range: most results will be at its ends"
    return None

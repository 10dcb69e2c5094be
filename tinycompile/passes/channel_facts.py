"""Channels that are the same number for every model input: interval analysis, forwards, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Graph, Node
from tinycompile.numerics.requant import is_step_function
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.reshape import Reshape


@dataclass(frozen=True)
class Trained:
    """What of a layer is trained.

    Attributes:
        weights: of how many of the first input channels (of a depthwise convolution: of its channels); None for all, 0
            for no weights.
    """

    weights: int | None = 0
    bias: bool = False

    def joined(self, other: Trained) -> Trained:
        """What either of them says."""
        weights = None if None in (self.weights, other.weights) else max(self.weights or 0, other.weights or 0)
        return Trained(weights, self.bias or other.bias)


Scheme = Mapping[str, Trained]
"""By the layers' names, in the order of execution."""

UNTRAINED: Scheme = {}


@dataclass(frozen=True, eq=False)
class Interval:
    """The least and greatest value of each channel (last axis), int64 vectors."""

    low: Array
    high: Array

    @staticmethod
    def any_int8(channels: int) -> Interval:
        return Interval(np.full(channels, -128, np.int64), np.full(channels, 127, np.int64))

    @property
    def constant(self) -> Array:
        return self.low == self.high

    def with_value(self, value: int) -> Interval:
        """Where padding reads `value` as well."""
        return Interval(np.minimum(self.low, value), np.maximum(self.high, value))


def intervals(graph: Graph, scheme: Scheme = UNTRAINED) -> dict[str, Interval]:
    """Bounds of every int8 value that has a last axis; sound for every model input.

    Args:
        scheme: what is trained. Channels then are constant only if they stay it and hand on no gradient: a bias has
            none where its channel is at an end of the clamp whatever the input is, so it never changes.
    """
    found: dict[str, Interval] = {}
    depends = set[str]()
    for name, t in graph.types.items():
        if t.dtype == INT8 and t.shape:
            found[name] = Interval.any_int8(t.shape[-1])
    for node in graph.nodes:
        bounds = _bounds(graph, node, found)
        if node.name in scheme or not depends.isdisjoint(node.inputs):
            depends.update(node.outputs)
            bounds = None if bounds is None else _while_training(graph, node, found, bounds, scheme)
        if bounds is not None:
            found[node.outputs[0]] = bounds
    return found


def _while_training(
    graph: Graph, node: Node, known: dict[str, Interval], bounds: Interval, scheme: Scheme
) -> Interval | None:
    """Of a node that trained parameters have an influence on. Bounds that aren't those of a constant may move."""
    op, x = node.op, known[node.inputs[0]]
    if not isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
        ends = isinstance(op, MaxPool2D | AveragePool2D | Mean | Reshape) and x.low.size == bounds.low.size
        return _or_any(bounds, bounds.constant & x.constant) if ends else None
    clamped = (bounds.low <= op.clamp[0]) | (bounds.low >= op.clamp[1])
    fixed = node.name not in scheme and _constant_sums(graph, node, op, x)
    return _or_any(bounds, bounds.constant & (clamped | fixed), op.clamp)


def _or_any(bounds: Interval, stays: Array, values: tuple[int, int] = (-128, 127)) -> Interval:
    return Interval(np.where(stays, bounds.low, values[0]), np.where(stays, bounds.high, values[1]))


def _bounds(graph: Graph, node: Node, known: dict[str, Interval]) -> Interval | None:
    x = known.get(node.inputs[0])
    if x is None:
        return None
    match node.op:
        case Conv2D() | DepthwiseConv2D() | FullyConnected() as op:
            return _linear_bounds(graph, node, op, x)
        case AveragePool2D(rescales_by_count=True):
            return None
        case AveragePool2D(rule=rule, count=count) if rule is not None:
            sums = [count * (bound - graph.types[node.inputs[0]].zero_point) for bound in (x.low, x.high)]
            low, high = (rule.apply(total[:, None])[:, 0].astype(np.int64) for total in sums)
            return Interval(low, high)
        case MaxPool2D(clamp=clamp) | AveragePool2D(clamp=clamp):
            return Interval(np.clip(x.low, *clamp), np.clip(x.high, *clamp))
        case Mean(axes=axes) as op if len(graph.types[node.inputs[0]].shape) - 1 not in axes:
            return _mean_bounds(graph, node, op, x)
        case Reshape() if keeps_channels(graph, node):
            return x
        case _:
            return None


def _mean_bounds(graph: Graph, node: Node, op: Mean, x: Interval) -> Interval:
    """Of means over other axes than the last."""
    sig = graph.signature(node)
    rule, count = op.requant(sig), op.count(sig)
    least, most = (count * (bound - sig.input.zero_point) for bound in (x.low, x.high))
    known = is_step_function(rule, least, most) | (least == most)
    low, high = (rule.apply(total[:, None])[:, 0].astype(np.int64) for total in (least, most))
    return Interval(np.where(known, low, rule.low), np.where(known, high, rule.high))


def keeps_channels(graph: Graph, node: Node) -> bool:
    """Whether the last axis of the result is that of the operand: only axes of size 1 come or go."""
    x, y = graph.types[node.inputs[0]].shape, graph.types[node.outputs[0]].shape
    return bool(x) and bool(y) and x[-1] == y[-1] and [n for n in x if n != 1] == [n for n in y if n != 1]


def _linear_bounds(
    graph: Graph, node: Node, op: Conv2D | DepthwiseConv2D | FullyConnected, x: Interval
) -> Interval | None:
    """Bounds of a layer's outputs; None where weights aren't known."""
    sums = _sum_bounds(graph, node, op, x)
    if sums is None:
        return None
    least, most = sums
    rule = op.requant(graph.signature(node))
    known = is_step_function(rule, least, most) | (least == most)
    bounds = (rule.apply(least).astype(np.int64), rule.apply(most).astype(np.int64))
    return Interval(np.where(known, bounds[0], rule.low), np.where(known, bounds[1], rule.high))


def _constant_sums(graph: Graph, node: Node, op: Conv2D | DepthwiseConv2D | FullyConnected, x: Interval) -> Array:
    """Of which channels: no value of the input that may change has a weight there."""
    sums = _sum_bounds(graph, node, op, x)
    return np.zeros(1, np.bool_) if sums is None else sums[0] == sums[1]


def _sum_bounds(
    graph: Graph, node: Node, op: Conv2D | DepthwiseConv2D | FullyConnected, x: Interval
) -> tuple[Array, Array] | None:
    """Least and greatest sums, the bias included; None where weights aren't known."""
    weights = graph.constants.get(node.inputs[1])
    bias = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.int64)
    if weights is None or bias is None:
        return None
    sig = graph.signature(node)
    if isinstance(op, Conv2D | DepthwiseConv2D) and any(op.padding):
        x = x.with_value(sig.input.zero_point)
    low, high = x.low - sig.input.zero_point, x.high - sig.input.zero_point
    w = weights.astype(np.int64)
    if isinstance(op, Conv2D) and w.shape[3] != sig.input.shape[3]:
        low, high = np.full(1, low.min()), np.full(1, high.max())  # groups: the same bounds for every channel
    if isinstance(op, DepthwiseConv2D):
        multiplier = w.shape[3] // sig.input.shape[3]
        low, high = np.repeat(low, multiplier), np.repeat(high, multiplier)
    axes = (0, 1, 2) if isinstance(op, DepthwiseConv2D) else tuple(range(1, w.ndim))
    least = np.minimum(w * low, w * high).sum(axis=axes) + bias
    most = np.maximum(w * low, w * high).sum(axis=axes) + bias
    return least, most

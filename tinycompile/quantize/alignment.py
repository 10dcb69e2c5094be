"""Values between linear layers, scaled to ranges that are given: exactly, by moving one factor from weights to weights.

A class is all values that only the same factor can change: what ReLU, pooling, sums and moves join, a whole residual
stream for example. Where all of it is made by and read by linear layers, the factor is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinycompile.quantize.float_graph import LINEAR, FloatGraph
from tinycompile.quantize.qdq import Parameters
from tinycompile.quantize.ranges import Observed

_LARGEST_FACTOR = 64.0
_FIRST = frozenset(
    "Relu LeakyRelu PRelu MaxPool GlobalMaxPool AveragePool GlobalAveragePool ReduceMean Neg Abs Identity Transpose "
    "Reshape Flatten Squeeze Unsqueeze Slice Split DepthToSpace SpaceToDepth".split()
)
"""f(s x) = s f(x) for s > 0, of the first operand."""
_ALL = frozenset("Add Sub Min Max Concat".split())
"""The same of all operands together."""


def free_classes(graph: FloatGraph) -> list[frozenset[str]]:
    """Sets of values, each of which may be multiplied by a factor of its own without another result of the model."""
    parents, fixed = dict[str, str](), {*graph.inputs, *graph.outputs, *graph.constants}

    def find(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    for node in graph.nodes:
        if _is_layer(graph, node):
            fixed |= set() if _can_scale(graph, node) else {*node.input, *node.output}
            find(node.output[0])
            continue
        operands = _homogeneous(node)
        joined = [*operands, *filter(None, node.output)]
        if not operands:
            fixed |= {*node.input, *node.output}
        for name in joined[1:] if operands else ():
            parents[find(name)] = find(joined[0])
    groups = dict[str, set[str]]()
    for name in parents:
        groups.setdefault(find(name), set()).add(name)
    return [frozenset(group) for group in groups.values() if not group & fixed]


def _homogeneous(node: Any) -> list[str]:
    """The operands that its results are scaled with; none where they aren't."""
    if node.op_type in _ALL:
        return list(node.input)
    return [node.input[0]] if node.op_type in _FIRST else []


def _is_layer(graph: FloatGraph, node: Any) -> bool:
    return node.op_type in (*LINEAR, "MatMul") and node.input[1] in graph.constants


def _can_scale(graph: FloatGraph, node: Any) -> bool:
    """Whether its weights are floats, and its bias as well, if it has one."""
    names = [name for name in node.input[1:] if name]
    return all(name in graph.constants and graph.constants[name].dtype == np.float32 for name in names)


def aligned(graph: FloatGraph, observed: Mapping[str, Observed], pinned: Parameters) -> FloatGraph:
    """The same function, with the values of each free class as large as pinned ranges represent best.

    Args:
        observed: the values that are quantised, of this graph.
        pinned: (scale, zero point) of each.
    """
    factors = dict[str, float]()
    for group in free_classes(graph):
        tensors = [(observed[name], pinned[name]) for name in sorted(group) if name in observed and name in pinned]
        factors |= dict.fromkeys(group, best_factor(tensors))
    graph = graph.copy()
    for node in graph.nodes:
        if _is_layer(graph, node):
            _scale(graph, node, factors.get(node.input[0], 1.0), factors.get(node.output[0], 1.0))
    return graph


def best_factor(tensors: list[tuple[Observed, tuple[float, int]]]) -> float:
    """What values are multiplied with, so that rounding them to (scale, zero point) costs least; 1 for none."""
    tensors = [(found, grid) for found, grid in tensors if found.high > found.low]
    fit = min((_fitting(found, *grid) for found, grid in tensors), default=1.0)
    if not tensors or not 1 / _LARGEST_FACTOR <= fit <= _LARGEST_FACTOR:
        return 1.0
    # From all values well within the ranges to a third of them cut off, as far as the search of ranges goes.
    candidates = np.concatenate([fit * np.geomspace(0.7, 3.0, 60), [1.0]])
    costs = [sum(_noise(found, *grid, factor) for found, grid in tensors) for factor in candidates]
    return float(candidates[int(np.argmin(costs))])


def _fitting(found: Observed, scale: float, zero_point: int) -> float:
    """The largest factor with which no value is beyond the range."""
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    parts = [low / found.low] if found.low < 0 and low < 0 else []
    parts += [high / found.high] if found.high > 0 and high > 0 else []
    return min(parts, default=1.0)


def _noise(found: Observed, scale: float, zero_point: int, factor: float) -> float:
    """Power of the error as a part of the signal's."""
    values = found.centres * factor
    rounded = (np.clip(np.rint(values / scale) + zero_point, -128, 127) - zero_point) * scale
    power = float(np.sum(found.counts * np.square(values)))
    return float(np.sum(found.counts * np.square(rounded - values))) / max(power, 1e-300)


def _scale(graph: FloatGraph, layer: Any, before: float, after: float) -> None:
    """For an operand that was multiplied by `before`, a result that is multiplied by `after`."""
    for operand, factor in _changes(layer, before, after):
        name = layer.input[operand]
        if factor != 1:
            value = (graph.constants[name] * np.float64(factor)).astype(np.float32)
            layer.input[operand] = graph.constant(f"{name}_aligned", value)


def _changes(layer: Any, before: float, after: float) -> Iterator[tuple[int, float]]:
    yield 1, after / before
    if len(layer.input) > 2 and layer.input[2]:
        yield 2, after

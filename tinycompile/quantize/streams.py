"""Factors and summands per channel behind a sum, moved into what is added: s (x + f(x)) + t is s x + (s f(x) + t), so
that a residual stream is rounded once in each block, and its channels may be scaled.

A layer that only the sum reads takes the factor itself. Where the channels of x may be scaled freely (`channels.py`),
all layers that make or read x take it together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.channels import groups_of, scale_groups
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, depthwise, rename, scale_layer


def into_summands(graph: FloatGraph, node: Any, scale: Array, shift: Array) -> bool:
    """Whether a sum could take over what the node behind it does, which is gone then.

    Of two summands one at most gets a layer of its own, a depthwise convolution: no more than the node would be.

    Args:
        node: computes scale * x + shift for each channel (axis 1) of x.
    """
    add = graph.producers().get(node.input[0])
    if add is None or add.op_type != "Add" or graph.only_consumer(node.input[0]) is not node:
        return False
    shapes = {graph.shapes.get(name) for name in (*add.input, node.output[0])}
    if len(set(add.input)) < 2 or None in shapes or len(shapes) > 1:
        return False
    trial = graph.copy()
    if not _moved(trial, node.output[0], scale, shift):
        return False
    graph.nodes, graph.constants, graph.shapes = trial.nodes, trial.constants, trial.shapes
    return True


def _moved(graph: FloatGraph, result: str, scale: Array, shift: Array) -> bool:
    """The same in a copy that may be left half done."""
    producers = graph.producers()
    node = producers[result]
    add = producers[node.input[0]]
    summands, zeros = list(add.input), np.zeros_like(shift)
    ends = [producers.get(name) for name in summands]
    taken = [
        layer is not None and layer.op_type in LINEAR and graph.only_consumer(layer.output[0]) is add for layer in ends
    ]
    # What a layer takes is exact; else the summand that isn't read by others, if there is one, has its own layer.
    shifted = taken.index(True) if any(taken) else min((0, 1), key=lambda i: len(graph.consumers(summands[i])))
    own = list[Any]()
    for index, (name, layer) in enumerate(zip(summands, ends, strict=True)):
        moved = shift if index == shifted else zeros
        if taken[index] and layer is not None and scale_layer(graph, layer, scale, moved):
            continue
        own.append(depthwise(graph, name, f"{result}_summand_{index}", scale, moved))
        add.input[index] = own[-1].output[0]
    graph.nodes.remove(node)
    add.output[0] = result
    at = next(i for i, each in enumerate(graph.nodes) if each is add)
    graph.nodes[at:at] = own
    for layer in own:
        _into_layers_around(graph, layer, scale)
    return sum(layer in graph.nodes for layer in own) <= 1


def _into_layers_around(graph: FloatGraph, own: Any, scale: Array) -> None:
    """Scale what a depthwise convolution reads, in place of the convolution."""
    groups, name = groups_of(graph), own.input[0]
    numbers = groups.by_channel(name)
    if numbers is None or np.any(graph.constants[own.input[2]]) or not np.all(scale > 0):
        return
    factors = np.ones(groups.count)
    factors[numbers] = 1 / scale
    if not np.all(groups.free[numbers]) or not np.array_equal(factors[numbers], 1 / scale):
        return
    scale_groups(graph, groups, factors)
    graph.nodes.remove(own)
    rename(graph, own.output[0], name)

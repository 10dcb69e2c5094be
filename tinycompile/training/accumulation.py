"""Gradients of several samples before the parameters change: a step adds to accumulators, which are applied later.

An accumulator is a state beside a trained parameter: int32, what the parameter is to change by, in units that are
2^`FRACTION_BITS` times smaller. A sample's part is its gradient times the learning rate of that moment, rounded once as
a step of descent is (`numerics.block_floating.descended`), and saturated at ±2^30.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT16, INT32
from tinycompile.ir import Array, Node, State, TensorType, free_name, verify
from tinycompile.numerics.block_floating import BIAS_LIMIT, MASTER_LIMIT, shifted_right
from tinycompile.ops._training.parameters import GradientDescent
from tinycompile.training.step import TrainingStep

FRACTION_BITS = 8
"""Of an accumulator: 1,000 samples, each with an error of half a unit, are off by 2 units of the parameter."""


def accumulating(step: TrainingStep) -> TrainingStep:
    """The same step, which leaves the parameters as they are and adds to accumulators what they are to change by."""
    graph = step.graph
    types, constants, nodes = dict(graph.types), dict(graph.constants), list[Node]()
    own = {state.name: state for state in graph.states}
    accumulators = dict[str, State]()
    for node in graph.nodes:
        if not isinstance(node.op, GradientDescent):
            nodes.append(node)
            continue
        parameter, *gradient, units = node.inputs
        accumulator, finer = free_name(f"{parameter}_accumulator", types), free_name(f"{units}_finer", types)
        t = types[accumulator] = TensorType(types[parameter].shape, INT32)
        types[finer], constants[finer] = types[units], constants[units] + np.array([0, FRACTION_BITS], np.int32)
        (following,) = node.outputs
        types[following] = t
        nodes.append(replace(node, inputs=(accumulator, *gradient, finer)))
        accumulators[parameter] = State(accumulator, np.zeros(t.shape, np.int32), following)
        own[parameter] = replace(own[parameter], next=parameter)
    named = {name for node in nodes for name in node.inputs}
    found = replace(
        graph,
        nodes=tuple(nodes),
        types={name: t for name, t in types.items() if name not in constants or name in named},
        constants={name: values for name, values in constants.items() if name in named},
        states=(*own.values(), *(accumulators[name] for name in step.parameters)),
    )
    verify(found, "accumulating")
    return replace(step, graph=found)


def applied(parameter: Array, accumulator: Array) -> Array:
    """A parameter, int16 master weights or int32 biases, after what was accumulated."""
    low, high = (-MASTER_LIMIT, MASTER_LIMIT - 1) if parameter.dtype == INT16.carrier else (-BIAS_LIMIT, BIAS_LIMIT)
    change = shifted_right(accumulator.astype(np.int64), FRACTION_BITS)
    return np.clip(parameter.astype(np.int64) + change, low, high).astype(parameter.dtype)

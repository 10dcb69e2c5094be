"""Gradients of a step, as real numbers by the network's own names."""

from __future__ import annotations

import numpy as np

from tinycompile.interpreter import initial, run
from tinycompile.ir import Array, Graph, TensorType
from tinycompile.ops._training.parameters import GradientDescent
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import training_step


def real(values: Array, t: TensorType) -> Array:
    quant = t.quant
    assert quant is not None
    shape = [1] * values.ndim
    if quant.axis is not None:
        shape[quant.axis] = -1
    return (values.astype(np.float64) - quant.zero_point.reshape(shape)) * quant.scale.astype(np.float64).reshape(shape)


def gradients(graph: Graph, sample: Array) -> tuple[Array, dict[str, Array]]:
    """Of all parameters, real numbers by the network's own names, and of the scores."""
    step = training_step(graph, read_scheme("all", graph))
    states = initial(step.graph) | {step.label: np.array([2], np.int32)}
    values = run(step.graph, [sample], states)
    loss = next(node for node in step.graph.nodes if node.op.kind == "cross_entropy_gradient")
    first = np.ldexp(values[loss.outputs[0]].astype(np.float64), values[loss.outputs[1]][0])
    found = dict[str, Array]()
    for node in step.graph.nodes:
        if isinstance(node.op, GradientDescent):
            layer = next(n for n in graph.nodes if node.inputs[0].rpartition("/")[0] == n.name)
            is_bias = values[node.inputs[0]].ndim == 1
            sums = np.ldexp(values[node.inputs[1]].astype(np.float64), values[node.inputs[2]][0])
            found[layer.inputs[1 + is_bias]] = sums if is_bias else sums * graph.types[layer.inputs[0]].scale
    return first, found

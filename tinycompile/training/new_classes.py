"""`--classes N`: a head with other classes than the model's file has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Node, TensorType, free_name
from tinycompile.numerics.block_floating import BIAS_LIMIT
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops._training.rule import slopes
from tinycompile.ops._training.trained_layer import MOST_TERMS
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax

BEHIND = (Softmax, Dequantize, Quantize, Reshape)
"""What may follow the head."""

SMALLER = 4
"""Times the deviation of the head's weights that new ones have: scores that are clamped have no gradient."""


def with_classes(graph: Graph, classes: int, seed: int = 0) -> Graph:
    """The model with so many scores. With more than it has its own stay, and the others begin with small
    weights, drawn by the seed; otherwise all begin anew.

    Raises:
        UsageError: it doesn't end with a fully connected layer of one row, or fewer than two classes are asked for.
    """
    if not 2 <= classes <= MOST_TERMS:
        raise UsageError(f"--classes {classes} is no number of classes", hint=f"from 2 to {MOST_TERMS:,}")
    head, op, behind = _head(graph)
    changed = _Head(graph, head, op, classes, np.random.default_rng(seed))
    types, constants = {**graph.types, **changed.types}, {**graph.constants, **changed.constants}
    before, after = graph.types[head.outputs[0]].shape, (*graph.types[head.outputs[0]].shape[:-1], classes)
    nodes = {head.name: changed.node}
    for node in behind:
        shape = types[node.outputs[0]].shape
        if shape[-1] != before[-1] or graph.types[node.outputs[0]].elements != before[-1]:
            raise _unfit(graph, f"{node.op.title} {node.name!r} makes {types[node.outputs[0]]} of its scores")
        after = (*shape[:-1], classes)
        types[node.outputs[0]] = replace(types[node.outputs[0]], shape=after)
        nodes[node.name] = replace(node, op=Reshape(after)) if isinstance(node.op, Reshape) else node
    ordered = tuple(nodes.get(node.name, node) for node in graph.nodes)
    other = {name for node in nodes.values() for name in node.outputs}  # which the model's file doesn't have
    sources = {name: source for name, source in graph.sources.items() if name not in other}
    return replace(graph, nodes=ordered, types=types, constants=constants, sources=sources)


def _head(graph: Graph) -> tuple[Node, FullyConnected, list[Node]]:
    """(the last layer, its operator, what follows it)."""
    producers, behind = graph.producers(), list[Node]()
    node = producers.get(graph.outputs[0]) if len(graph.outputs) == 1 else None
    while node is not None and isinstance(node.op, BEHIND):
        behind.insert(0, node)
        node = producers.get(node.inputs[0])
    if node is None or not isinstance(node.op, FullyConnected) or node.inputs[1] not in graph.constants:
        last = f"{len(graph.outputs)} outputs" if len(graph.outputs) != 1 else node.op.title if node else "an input"
        raise _unfit(graph, f"it ends with {last}, not with a fully connected layer and at most softmax behind it")
    if graph.types[node.outputs[0]].elements != graph.types[node.outputs[0]].shape[-1]:
        raise _unfit(graph, f"its head has {graph.types[node.outputs[0]]}, not the scores of one sample")
    if len(graph.consumers().get(node.outputs[0], ())) > 1:
        raise _unfit(graph, "several operators read its scores")
    return node, node.op, behind


def _unfit(graph: Graph, why: str) -> UsageError:
    return UsageError("--classes can't change this model", where=graph.name, why=why)


def _first_biases(graph: Graph, head: Node, op: FullyConnected) -> Array:
    """int32 (scores,), with which new scores begin: 0, or more or less where that is at an end of their range, or close
    to it, as behind ReLU: there they would be clamped, and have no gradient. 0 of heads that can't be trained.
    """
    sig, (low, high) = graph.signature(head), op.clamp
    quant, room = sig.inputs[1].quant, (high - low) // 4
    scores = sig.inputs[1].shape[:1]
    if quant is None or (isinstance(op.rule, StepRequant) and not op.rule.is_straight()):
        return np.zeros(scores, np.int32)
    scales = quant.scale.astype(np.float64) if op.rule is None else slopes(sig, op.rule)
    away = int(np.clip(sig.output.zero_point, low + room, high - room)) - sig.output.zero_point
    found = np.rint(away * sig.output.scale / (sig.input.scale * scales))
    return np.broadcast_to(np.clip(found, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32), scores)


class _Head:
    """A fully connected layer with other outputs."""

    def __init__(self, graph: Graph, head: Node, op: FullyConnected, classes: int, rng: np.random.Generator) -> None:
        own = graph.types[head.inputs[1]].shape[0]
        kept = own if classes > own else 0
        source = np.arange(classes) % own  # whose scales a score has
        self.types, self.constants = dict[str, TensorType](), dict[str, Array]()
        self._graph = graph
        weights = graph.constants[head.inputs[1]]
        drawn = rng.normal(0, max(float(weights.std()) / SMALLER, 1.0), (classes, weights.shape[1]))
        values = np.clip(np.rint(drawn), -127, 127).astype(weights.dtype)
        values[:kept] = weights[:kept]
        inputs = [head.inputs[0], self._constant(head.inputs[1], values, source)]
        values = _first_biases(graph, head, op)[source]
        if len(head.inputs) > 2:
            bias = graph.constants[head.inputs[2]]
            values = values.astype(bias.dtype)
            values[:kept] = bias[:kept]
            inputs.append(self._constant(head.inputs[2], values, source))
        elif values.any():
            values[:kept] = 0
            inputs.append(self._bias(f"{head.name}/bias", values))
        rule = None if op.rule is None else op.rule.take(source)
        self.node = replace(head, op=replace(op, rule=rule), inputs=tuple(inputs))
        scores = graph.types[head.outputs[0]]
        self.types[head.outputs[0]] = replace(scores, shape=(*scores.shape[:-1], classes))

    def _bias(self, wanted: str, values: Array) -> str:
        """Of a head that has none."""
        name = free_name(wanted, {**self._graph.types, **self.types})
        self.types[name], self.constants[name] = TensorType(values.shape, INT32), values
        return name

    def _constant(self, old: str, values: Array, source: Array) -> str:
        t = self._graph.types[old]
        quant = t.quant
        if quant is not None and quant.axis is not None:
            quant = replace(quant, scale=quant.scale[source], zero_point=quant.zero_point[source])
        name = free_name(f"{old}/classes", {**self._graph.types, **self.types})
        self.types[name] = replace(t, shape=values.shape, quant=quant)
        self.constants[name] = np.ascontiguousarray(values)
        return name

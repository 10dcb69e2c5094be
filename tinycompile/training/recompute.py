"""Gradients that are computed again for each of their uses, so that none of them is ever whole in memory.

Several operators read the gradient of an expanded tensor: that of its layer's bias, and that of the layer's input. With
a copy of the gradient's nodes for each of them, one kernel can compute it row by row together with what reads it
(`kernels.recomputed_gradients`). The results are the same; each use computes it two or three times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinycompile.ir import Graph, Node, free_name
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.masks import MaskedGradient
from tinycompile.ops._training.weight_gradient import BiasGradient


@dataclass(frozen=True)
class Repeated:
    """A gradient that may be computed for each of its readers.

    Attributes:
        gradient, masked: what makes it, and what leaves out clamped outputs.
        readers: of that, in the order of execution.
        bytes: of the gradient.
    """

    gradient: Node
    masked: Node
    readers: Sequence[Node]
    bytes: int


def repeatable(graph: Graph) -> Iterator[Repeated]:
    """The gradients of a step whose readers can each have their own, in the order of execution."""
    consumers = graph.consumers()
    for node in graph.nodes:
        if not isinstance(node.op, InputGradient):
            continue
        values, exponent = node.outputs
        masked = consumers.get(values, [])
        if len(masked) != 1 or not isinstance(masked[0].op, MaskedGradient) or masked[0].op.clamp is not None:
            continue
        readers = consumers.get(masked[0].outputs[0], [])
        if len(readers) > 1 and all(map(_reads_rows, readers)) and set(consumers.get(exponent, [])) <= {*readers}:
            yield Repeated(node, masked[0], tuple(readers), graph.types[values].bytes)


def recomputed(graph: Graph, least: int) -> Graph:
    """The graph in which gradients of so many bytes and more are computed for each of their readers."""
    names, types = {node.name for node in graph.nodes}, dict(graph.types)
    before: dict[Node, Sequence[Node]] = {}
    for each in _chosen(graph, least):
        for reader in each.readers[1:]:
            own = {name: free_name(name, types) for node in (each.gradient, each.masked) for name in node.outputs}
            types.update({free: types[name] for name, free in own.items()})
            copies = [_with(node, own, free_name(node.name, names)) for node in (each.gradient, each.masked)]
            names.update(node.name for node in copies)
            before[reader] = [*copies, _with(reader, own, reader.name)]
    nodes = tuple(node for old in graph.nodes for node in before.get(old, (old,)))
    return replace(graph, nodes=nodes, types=types)


def _chosen(graph: Graph, least: int) -> Iterator[Repeated]:
    """The largest first. What is computed with a repeated gradient isn't repeated itself: all of it would be, again."""
    gradients, readers = set[Node](), set[Node]()
    for each in sorted(repeatable(graph), key=lambda each: -each.bytes):
        if each.bytes >= least and each.gradient not in readers and gradients.isdisjoint(each.readers):
            gradients.add(each.gradient)
            readers.update(each.readers)
            yield each


def _reads_rows(node: Node) -> bool:
    return isinstance(node.op, BiasGradient) or (isinstance(node.op, InputGradient) and node.op.geometry.is_pointwise)


def _with(node: Node, names: Mapping[str, str], name: str) -> Node:
    inputs, outputs = (tuple(names.get(n, n) for n in values) for values in (node.inputs, node.outputs))
    return Node(name, node.op, inputs, outputs)

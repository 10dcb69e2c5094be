"""Graphs inside of operators, in the hands of importers: put in the operator's place, or made ready to be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinycompile.frontend.builder import GraphBuilder
from tinycompile.ir import Graph, TensorType

SMALL = 48
"""Nodes that a loop is written out as, at most: more are a loop in C."""


def inlined(builder: GraphBuilder, graph: Graph, operands: Sequence[str], wanted: Mapping[str, str]) -> list[str]:
    """Add the nodes of a graph; the values that are its outputs.

    Args:
        operands: the values that are its inputs.
        wanted: values that are there already, and are to be what some of its own become.
    """
    names = dict(zip(graph.inputs, operands, strict=True))
    for name, constant in graph.constants.items():
        names[name] = builder.value(name, graph.types[name], None, constant)
    for node in graph.nodes:
        for output in node.outputs:
            names[output] = wanted.get(output) or builder.value(output, graph.types[output])
        builder.node(node.name, node.op, [names[n] for n in node.inputs], [names[n] for n in node.outputs])
    return [names[name] for name in graph.outputs]


def own_results(graph: Graph) -> list[str]:
    """The outputs that nodes compute, each only once: others are inputs, constants, or other outputs."""
    computed = {name for node in graph.nodes for name in node.outputs}
    return [name for name in graph.outputs if name in computed and graph.outputs.count(name) == 1]


def difference(given: Sequence[TensorType], wanted: Sequence[TensorType]) -> str | None:
    """How the values that a graph gets or gives differ from those around it, in words."""
    if len(given) != len(wanted):
        return f"{len(given)} values where there are {len(wanted)}"
    for one, other in zip(given, wanted, strict=True):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            return f"{one} where there is {other}"
        same = one.quant is None if other.quant is None else other.quant.same_as(one.quant)
        if not same:
            return f"{one} with another scale or zero point"
    return None

"""What a quantised model's layers in float32 cost, once their kernels are known: a warning with their instructions."""

from __future__ import annotations

import warnings

from tinycompile.dtypes import FLOAT32
from tinycompile.errors import FloatIslandWarning
from tinycompile.ir import Graph, Node
from tinycompile.ops._training.losses import BeginBackward
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose
from tinycompile.planner import Planned

_EDGES = (Quantize, Dequantize, Transpose, Reshape, BeginBackward)
"""What float inputs and outputs of a model pass although it is int8 throughout."""

_NAMED = 3
"""How many of the dearest layers are named."""


def warn_of_cost(where: str, planned: Planned) -> None:
    """Warns of layers that run in float32 beside others that are integers; nothing for models of one kind."""
    graph = planned.graph
    at_edges = _edges(graph)
    costs = {
        node.name: kernel.instructions
        for node, kernel in zip(graph.nodes, planned.kernels, strict=True)
        if (floats := _floats(graph, node)) and not (isinstance(node.op, _EDGES) and floats <= at_edges)
    }
    if not costs or not any(_is_integer(graph, node) for node in graph.nodes):
        return
    dearest = sorted(costs, key=costs.__getitem__, reverse=True)[:_NAMED]
    named = ", ".join(f"{name!r} {costs[name]:,}" for name in dearest)
    others = len(costs) - len(dearest)
    text = (
        f"{where}: float32 costs about {sum(costs.values()):,} of {planned.instructions:,} instructions, as kernels "
        f"estimate: {named}{f' and {others} others' if others else ''}; --strict-int8 refuses float32"
    )
    warnings.warn(text, FloatIslandWarning, stacklevel=4)


def _floats(graph: Graph, node: Node) -> set[str]:
    """The float32 tensors that a node reads or writes; constants aside."""
    names = {*node.inputs, *node.outputs} - graph.constants.keys()
    return {name for name in names if graph.types[name].dtype == FLOAT32}


def _is_integer(graph: Graph, node: Node) -> bool:
    """Whether it computes on quantised tensors."""
    return not _floats(graph, node) and any(graph.types[name].quant is not None for name in node.outputs)


def _edges(graph: Graph) -> set[str]:
    """The float tensors that are inputs and outputs, or only moved ones."""
    found = {*graph.inputs, *graph.outputs}
    moves = [node for node in graph.nodes if isinstance(node.op, Transpose | Reshape | BeginBackward)]
    for node in moves:
        if node.inputs[0] in found:
            found |= set(node.outputs)
    for node in reversed(moves):
        if node.outputs[0] in found:
            found.add(node.inputs[0])
    return found

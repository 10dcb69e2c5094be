"""Caches: tensors of which a model replaces a piece in each step, or behind which it puts one. Old and new elements
have one scale, that of the result, so that what a step keeps is what the next one reads.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinycompile.quantize.float_graph import FloatGraph

UPDATES = frozenset({"ScatterND", "ScatterElements", "TensorScatter"})
"""Operand 0 with elements of another operand in some places."""

_MOVES = frozenset("Transpose Reshape Squeeze Unsqueeze Identity".split())


def cached_inputs(graph: FloatGraph, others: Collection[str]) -> dict[str, str]:
    """By input of the model: the result of the update that alone reads it, with whose scale it is stored.

    Args:
        others: the values that are no floats.
    """
    found = dict[str, str]()
    for name in graph.inputs:
        update = _only_update(graph, name, 0) if name not in others else None
        if update is not None:
            found[name] = update.output[0]
    return found


def written(graph: FloatGraph) -> set[str]:
    """The values of which all that is done with them is that they replace elements: they are rounded there."""
    return {node.output[0] for node in graph.nodes if _only_update(graph, node.output[0], None) is not None}


def _only_update(graph: FloatGraph, name: str, operand: int | None) -> Any | None:
    """The update that reads a value, perhaps moved, as this operand, None meaning the new elements; None where anything
    else reads it or it is an output.
    """
    while name not in graph.outputs:
        node = graph.only_consumer(name)
        if node is None:
            return None
        if node.op_type in UPDATES or _appends(graph, node):
            new = 2 if node.op_type.startswith("Scatter") else 1
            place = operand if operand is not None else new
            return node if node.input[place] == name and list(node.input).count(name) == 1 else None
        if node.op_type not in _MOVES or node.input[0] != name:
            return None
        name = node.output[0]
    return None


def _appends(graph: FloatGraph, node: Any) -> bool:
    """Whether it joins an input of the model with one other tensor, and the result is an output: past and present."""
    if node.op_type != "Concat" or len(node.input) != 2:
        return False
    producers, old = graph.producers(), node.input[0]
    while old in producers and producers[old].op_type in _MOVES:
        old = producers[old].input[0]
    return old in graph.inputs and _is_output(graph, node.output[0])


def _is_output(graph: FloatGraph, name: str) -> bool:
    """Whether a value, perhaps moved, or a part of it is an output of the model."""
    moved = [node.output[0] for node in graph.consumers(name) if node.op_type in _MOVES or node.op_type == "Slice"]
    return name in graph.outputs or any(_is_output(graph, each) for each in moved)

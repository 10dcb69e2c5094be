"""Graphs inside of operators: the branches of a condition, the body of a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinycompile.dtypes import BOOL
from tinycompile.ir import Array, Graph, TensorType


def results_of(graph: Graph, operands: Sequence[Array]) -> tuple[Array, ...]:
    """The outputs of a graph without states."""
    values = dict(graph.constants)
    values.update(zip(graph.inputs, operands, strict=True))
    for node in graph.nodes:
        results = node.op.evaluate(graph.signature(node), [values[name] for name in node.inputs])
        values.update(zip(node.outputs, results, strict=True))
    return tuple(values[name] for name in graph.outputs)


def known_results(graph: Graph, operands: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """The same, as far as they follow from the operands that are known."""
    values: dict[str, Array | None] = {**graph.constants, **dict(zip(graph.inputs, operands, strict=True))}
    for node in graph.nodes:
        given = [values.get(name) for name in node.inputs]
        known = [value for value in given if value is not None]
        if node.inputs and len(known) == len(given):
            values.update(zip(node.outputs, node.op.evaluate(graph.signature(node), known), strict=True))
    return tuple(values.get(name) for name in graph.outputs)


def with_known(graph: Graph, known: Mapping[int, Array]) -> Graph:
    """With some inputs, by their place, as constants."""
    constants = {graph.inputs[place]: value for place, value in known.items()}
    left = tuple(name for place, name in enumerate(graph.inputs) if place not in known)
    return replace(graph, inputs=left, constants={**graph.constants, **constants})


def objection(graph: Graph) -> str | None:
    """Why a node of the graph can't be compiled."""
    for node in graph.nodes:
        reason = node.op.unsupported(graph.signature(node))
        if reason is not None:
            return f"{node.name!r} inside: {reason}"
    return None


def check_operands(graph: Graph, operands: Sequence[TensorType], what: str) -> None:
    """Raises ValueError unless they are the inputs of the graph."""
    inputs = [graph.types[name] for name in graph.inputs]
    if [(t.shape, t.dtype) for t in inputs] != [(t.shape, t.dtype) for t in operands]:
        raise ValueError(f"{what} takes {_listed(inputs)} and is given {_listed(operands)}")


def is_condition(t: TensorType) -> bool:
    """Whether this is a single boolean."""
    return t.dtype == BOOL and t.elements == 1


def _listed(types: Sequence[TensorType]) -> str:
    return ", ".join(map(str, types)) or "nothing"

"""Runs a graph in NumPy: every operator by its own definition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tinycompile.errors import SamplesError
from tinycompile.ir import Array, Graph

Inputs = Mapping[str, Array] | Sequence[Array]
"""By name, or in the order of `Graph.inputs`; of the types in `Graph.types`."""


def run(graph: Graph, inputs: Inputs, states: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Every value of one inference, or of one step, by name.

    Args:
        states: by name; None for the first step, in which each is what it begins with.

    Raises:
        SamplesError: an input is missing or is not of its type.
    """
    given = inputs if isinstance(inputs, Mapping) else dict(zip(graph.inputs, inputs, strict=False))
    values = dict(graph.constants)
    for name in graph.inputs:
        values[name] = _checked_input(graph, name, given.get(name))
    values.update(initial(graph) if states is None else states)
    for node in graph.nodes:
        operands = [values[name] for name in node.inputs]
        results = node.op.evaluate(graph.signature(node), operands)
        values.update(zip(node.outputs, results, strict=True))
    return values


def initial(graph: Graph) -> dict[str, Array]:
    """The states of the first step."""
    return {state.name: state.initial for state in graph.states}


def following(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """The states of the step after the one with these values."""
    return {state.name: values[state.next] for state in graph.states}


def steps(graph: Graph, sequence: Iterable[Inputs]) -> Iterator[dict[str, Array]]:
    """Every value of one step after the other, from the initial states on."""
    states = initial(graph)
    for inputs in sequence:
        values = run(graph, inputs, states)
        yield values
        states = following(graph, values)


def _checked_input(graph: Graph, name: str, value: Array | None) -> Array:
    expected = graph.types[name]
    if value is None:
        raise SamplesError(f"input {name!r} is missing", where=graph.name)
    value = np.asarray(value)
    wrong = expected.mismatch(value)
    if wrong is not None:
        raise SamplesError(f"input {name!r} has {wrong}, the model takes {expected}", where=graph.name)
    return value

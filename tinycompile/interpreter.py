"""Runs a graph in NumPy: every operator by its own definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinycompile.errors import SamplesError
from tinycompile.ir import Array, Graph


def run(graph: Graph, inputs: Mapping[str, Array] | Sequence[Array]) -> dict[str, Array]:
    """Every value of one inference, by name.

    Args:
        inputs: by name, or in the order of `graph.inputs`; shapes and dtypes as in `graph.types`.

    Raises:
        SamplesError: an input is missing or is not of its type.
    """
    given = inputs if isinstance(inputs, Mapping) else dict(zip(graph.inputs, inputs, strict=False))
    values = dict(graph.constants)
    for name in graph.inputs:
        values[name] = _checked_input(graph, name, given.get(name))
    for node in graph.nodes:
        operands = [values[name] for name in node.inputs]
        results = node.op.evaluate(graph.signature(node), operands)
        values.update(zip(node.outputs, results, strict=True))
    return values


def _checked_input(graph: Graph, name: str, value: Array | None) -> Array:
    expected = graph.types[name]
    if value is None:
        raise SamplesError(f"input {name!r} is missing", where=graph.name)
    value = np.asarray(value)
    if (value.shape, value.dtype.name) != (expected.shape, expected.dtype):
        actual = f"{value.dtype.name}[{'x'.join(map(str, value.shape))}]"
        raise SamplesError(f"input {name!r} is {actual}, the model takes {expected}", where=graph.name)
    return value

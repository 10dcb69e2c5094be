"""States that a file has as inputs and outputs: ONNX knows no others, and a caller would carry them by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, State, TensorType

Pairs = Sequence[tuple[str, str]]
"""(input, output), by their names in the file."""


def with_states(graph: Graph, pairs: Pairs, inputs: Sequence[str], outputs: Sequence[str], where: str) -> Graph:
    """The graph with such inputs as states, whose next values are such outputs; neither are the model's any more.

    Args:
        inputs, outputs: what the file calls the graph's, in their order.
        where: the file, for messages.

    Raises:
        UsageError: there is no such input or output, one is named twice, both are of different types, or no input or
            output is left.
    """
    if not pairs:
        return graph
    given = [_place(name, inputs, "input", where) for name, _ in pairs]
    wanted = [_place(name, outputs, "output", where) for _, name in pairs]
    for (name, following), i, o in zip(pairs, given, wanted, strict=True):
        if given.count(i) > 1 or wanted.count(o) > 1:
            raise UsageError(
                f"--state {name}={following}: one of them is part of another state, too",
                where=where,
                why="an input begins a step as one value, and an output becomes one state",
            )
        _check(name, following, graph.types[graph.inputs[i]], graph.types[graph.outputs[o]], where)
    left = [[name for i, name in enumerate(g) if i not in gone] for g, gone in _both(graph, given, wanted)]
    for names, role in zip(left, ("input", "output"), strict=True):
        if not names:
            raise UsageError(f"no {role} would be left of the model", where=where, why="all are declared as states")
    names = ((graph.inputs[i], graph.outputs[o]) for i, o in zip(given, wanted, strict=True))
    found = [State(name, _zero(graph.types[name]), following) for name, following in names]
    return replace(graph, inputs=tuple(left[0]), outputs=tuple(left[1]), states=(*graph.states, *found))


def without(names: Sequence[str], declared: Sequence[str]) -> tuple[str, ...]:
    """The names of inputs, or outputs, that are left: a file may have a name twice, and the first one is meant."""
    gone = {names.index(name) for name in declared}
    return tuple(name for i, name in enumerate(names) if i not in gone)


def _both(graph: Graph, given: Sequence[int], wanted: Sequence[int]) -> Sequence[tuple[Sequence[str], Sequence[int]]]:
    return (graph.inputs, given), (graph.outputs, wanted)


def _place(name: str, names: Sequence[str], role: str, where: str) -> int:
    if name not in names:
        raise UsageError(
            f"--state: the model has no {role} {name!r}", where=where, hint=f"its {role}s: {', '.join(names)}"
        )
    return names.index(name)


def _check(name: str, following: str, now: TensorType, then: TensorType, where: str) -> None:
    same_scale = now.quant is None if then.quant is None else then.quant.same_as(now.quant)
    if (now.shape, now.dtype) != (then.shape, then.dtype) or not same_scale:
        raise UsageError(
            f"--state {name}={following}: the output can't be the input of the next step",
            where=where,
            why=f"{name} is {_described(now)}, {following} is {_described(then)}",
            hint="export the model with one shape, type and scale for both",
        )


def _described(t: TensorType) -> str:
    return f"{t} with scale {t.scale:g} and zero point {t.zero_point}" if _has_scale(t) else str(t)


def _has_scale(t: TensorType) -> bool:
    return t.quant is not None and t.quant.is_per_tensor


def _zero(t: TensorType) -> Array:
    """What stands for the number 0."""
    return np.full(t.shape, t.zero_point if _has_scale(t) else 0, t.dtype.carrier)

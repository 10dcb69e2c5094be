"""States that a file has as inputs and outputs: ONNX knows no others, and a caller would carry them by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Node, State, TensorType, free_name
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.slice import Slice
from tinycompile.ops.transpose import Transpose

Pairs = Sequence[tuple[str, str]]
"""(input, output), by their names in the file."""


def with_states(graph: Graph, pairs: Pairs, inputs: Sequence[str], outputs: Sequence[str], where: str) -> Graph:
    """The graph with such inputs as states, whose next values are such outputs; neither are the model's any more. Of an
    output that is longer along one axis, as that of attention with past keys is, the last elements are the next value.

    Args:
        inputs, outputs: what the file calls the graph's, in their order.
        where: the file, for messages.

    Raises:
        UsageError: there is no such input or output, one is named twice, the output is no next value of the input
            (`longer_axis`), or no input or output is left.
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
    found = list[State]()
    names = [(graph.inputs[i], graph.outputs[o]) for i, o in zip(given, wanted, strict=True)]
    for (named, _), (name, following) in zip(pairs, names, strict=True):
        axis = longer_axis(graph.types[name].shape, graph.types[following].shape)
        if axis is not None:
            count, length = graph.types[name].shape[axis], graph.types[following].shape[axis]
            graph, following = _newest(graph, following, axis, count)
            note = f"state {named} is the last {count} of {length} elements along axis {axis}: the oldest leave it"
            graph = replace(graph, notes=(*graph.notes, note))
        found.append(State(name, _zero(graph.types[name]), following))
    return replace(graph, inputs=tuple(left[0]), outputs=tuple(left[1]), states=(*graph.states, *found))


def longer_axis(now: Sequence[int], then: Sequence[int]) -> int | None:
    """The only axis along which an output has more elements than the input whose next value it is; None of equal
    shapes, and of those that differ in another way.
    """
    differing = [axis for axis, sizes in enumerate(zip(now, then, strict=False)) if sizes[0] != sizes[1]]
    one = len(now) == len(then) and len(differing) == 1
    return differing[0] if one and 0 < now[differing[0]] < then[differing[0]] else None


def newest(value: Array, shape: Sequence[int]) -> Array:
    """An output as the next step's input of a shape: the last elements along the axis that is longer."""
    axis = longer_axis(shape, value.shape)
    return value if axis is None else np.take(value, range(value.shape[axis] - shape[axis], value.shape[axis]), axis)


def _newest(graph: Graph, name: str, axis: int, count: int) -> tuple[Graph, str]:
    """The graph with the last elements of a value, and their name.

    They are taken before the value is moved or becomes floats, so that passes see what a step does with its state.
    """
    moves, producers = list[Node](), graph.producers()
    while (node := producers.get(name)) is not None and isinstance(node.op, Transpose | Dequantize | Quantize):
        moves.insert(0, node)
        name = node.inputs[0]
        axis = node.op.permutation[axis] if isinstance(node.op, Transpose) else axis
    types, nodes = dict(graph.types), list(graph.nodes)
    before, result = graph.types[name], free_name(f"{name}_newest", graph.types)
    size = (*before.shape[:axis], count, *before.shape[axis + 1 :])
    last = Slice.of_axis(before.shape, axis, before.shape[axis] - count, count)
    types[result] = replace(before, shape=size)
    nodes.append(Node(free_name(result, {node.name for node in nodes}), last, (name,), (result,)))
    for move in moves:
        made, source = free_name(f"{move.outputs[0]}_newest", types), types[result]
        ((shape, _),) = move.op.infer([source])
        types[made] = replace(types[move.outputs[0]], shape=shape)
        nodes.append(Node(free_name(made, {node.name for node in nodes}), move.op, (result,), (made,)))
        result = made
    return replace(graph, nodes=tuple(nodes), types=types), result


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
    same_shape = now.shape == then.shape or longer_axis(now.shape, then.shape) is not None
    if not same_shape or now.dtype != then.dtype or not same_scale:
        raise UsageError(
            f"--state {name}={following}: the output can't be the input of the next step",
            where=where,
            why=f"{name} is {_described(now)}, {following} is {_described(then)}",
            hint="export the model with one shape, type and scale for both; along one axis the output may be longer",
        )


def _described(t: TensorType) -> str:
    return f"{t} with scale {t.scale:g} and zero point {t.zero_point}" if _has_scale(t) else str(t)


def _has_scale(t: TensorType) -> bool:
    return t.quant is not None and t.quant.is_per_tensor


def _zero(t: TensorType) -> Array:
    """What stands for the number 0."""
    return np.full(t.shape, t.zero_point if _has_scale(t) else 0, t.dtype.carrier)

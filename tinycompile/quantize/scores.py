"""What stands between the two products of an attention, in the forms that 8 bits can have.

Exporters write a mask as numbers that are added, -inf or the lowest float where nothing may be looked at; a range that
goes there has no steps left for scores. Such a mask becomes a choice: the score, or a number so low that Softmax makes
next to nothing of it (`lowest`). Factors of queries and keys become one factor of their product, which is part of its
requantisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.ir import Array
from tinycompile.quantize.execution import Sample, run_all, session_of, stacked, with_outputs
from tinycompile.quantize.float_graph import FloatGraph

_NEVER = -1e4
"""What is added where nothing may be looked at; as it is or lower."""
_SHARE = 2.0**-12
"""What all masked elements of a row may have together, as a part of its largest one."""
_MOVES = frozenset("Identity Reshape Transpose Squeeze Unsqueeze Expand".split())


def spell_scores(graph: FloatGraph) -> None:
    """Factors behind products, masks as choices, no questions for NaN; it computes the same."""
    _move_factors(graph)
    for node in list(graph.nodes):
        if node.op_type == "Softmax":
            _choose(graph, node)
            _drop_nan_guard(graph, node)


def _add(graph: FloatGraph, before: Any, kind: str, inputs: Sequence[str], stem: str, shape: Any = None) -> str:
    """A new node in front of another one; its result's name."""
    result = f"{before.output[0]}_{stem}"
    at = next(i for i, each in enumerate(graph.nodes) if each is before)
    graph.nodes.insert(at, onnx_module().helper.make_node(kind, list(inputs), [result], f"{result}_node"))
    if shape is not None:
        graph.shapes = {**graph.shapes, result: shape}
    return result


# Factors.


def _move_factors(graph: FloatGraph) -> None:
    """MatMul(a x, b y) is a b MatMul(x, y)."""
    producers = graph.producers()
    for node in list(graph.nodes):
        if node.op_type != "MatMul" or any(name in graph.constants for name in node.input):
            continue
        factor = 1.0
        for index in range(2):
            found = _scaled(graph, producers, node.input[index])
            if found is not None:
                factor *= found
        if factor != 1.0:
            product, result = f"{node.output[0]}_unscaled", node.output[0]
            at = next(i for i, each in enumerate(graph.nodes) if each is node)
            graph.shapes = {**graph.shapes, **({product: graph.shapes[result]} if result in graph.shapes else {})}
            node.output[0] = product
            scale = graph.constant(f"{result}_factor", np.array(factor, np.float32))
            make = onnx_module().helper.make_node
            graph.nodes.insert(at + 1, make("Mul", [product, scale], [result], f"{result}_scaled"))


def _scaled(graph: FloatGraph, producers: dict[str, Any], name: str) -> float | None:
    """The factor of a value, which is taken away from it; None if it has none that only this value has."""
    while True:
        node = producers.get(name)
        if node is None or graph.only_consumer(name) is None:
            return None
        if node.op_type in _MOVES:
            name = node.input[0]
            continue
        constants = [i for i, n in enumerate(node.input) if n in graph.constants]
        if node.op_type not in ("Mul", "Div") or len(constants) != 1:
            return None
        value = graph.constants[node.input[constants[0]]]
        if value.size != 1 or value.ndim > len(graph.shapes.get(name, ())):
            return None
        if node.op_type == "Div" and constants[0] == 0:
            return None
        factor = float(value.reshape(()))
        if not np.isfinite(factor) or factor == 0:
            return None
        source, reader = node.input[1 - constants[0]], graph.only_consumer(name)
        graph.nodes = [each for each in graph.nodes if each is not node]
        if reader is not None:
            reader.input[list(reader.input).index(name)] = source
        return factor if node.op_type == "Mul" else 1 / factor


# Masks.


def _choose(graph: FloatGraph, softmax: Any) -> None:
    """Softmax(scores + mask) is Softmax(Where(allowed, scores + what is left of the mask, -inf))."""
    add = graph.producers().get(softmax.input[0])
    if add is None or add.op_type != "Add" or graph.only_consumer(softmax.input[0]) is not softmax:
        return
    for index in (1, 0):
        allowed, left = _allowed(graph, add, add.input[index])
        if not allowed:
            continue
        scores = add.input[1 - index]
        if left:
            scores = _add(graph, add, "Add", [scores, left], "added", graph.shapes.get(add.output[0]))
        never = graph.constant(f"{add.output[0]}_never", np.array(-np.inf, np.float32))
        make = onnx_module().helper.make_node
        at = next(i for i, each in enumerate(graph.nodes) if each is add)
        graph.nodes[at] = make("Where", [allowed, scores, never], list(add.output), f"{add.output[0]}_masked")
        return


def _allowed(graph: FloatGraph, before: Any, name: str) -> tuple[str, str]:
    """(truth values of where a mask lets through, the finite rest of it); both empty if it isn't a mask."""
    value = graph.constants.get(name)
    if value is not None:
        allowed = value > _NEVER
        if value.dtype.kind != "f" or np.all(allowed):
            return "", ""
        left = np.where(allowed, value, 0).astype(value.dtype)
        rest = graph.constant(f"{name}_rest", left) if np.any(left) else ""
        return graph.constant(f"{name}_allowed", allowed), rest
    moves, producers = list[Any](), graph.producers()
    node = producers.get(name)
    while node is not None and node.op_type in _MOVES:
        moves.append(node)
        node = producers.get(node.input[0])
    if node is None or node.op_type != "Where":
        return "", ""
    choices = [graph.constants.get(each) for each in node.input[1:]]
    if any(each is None for each in choices):
        return "", ""
    never = [bool(np.all(each <= _NEVER)) for each in choices if each is not None]
    nothing = [not np.any(each) for each in choices if each is not None]
    if not ((never[0] and nothing[1]) or (never[1] and nothing[0])):
        return "", ""
    wide = max((each.shape for each in choices if each is not None), key=len)
    allowed = node.input[0]
    if never[0]:
        allowed = _add(graph, before, "Not", [allowed], "allowed", graph.shapes.get(allowed))
    shape = graph.shapes.get(node.output[0])
    if shape is not None and graph.shapes.get(allowed) != shape and wide:
        sizes = graph.constant(f"{before.output[0]}_sizes", np.array(shape, np.int64))
        allowed = _add(graph, before, "Expand", [allowed, sizes], "wide", shape)
    for number, move in enumerate(reversed(moves)):
        clone = copied(move)
        clone.input[0], clone.output[0] = allowed, f"{before.output[0]}_moved_{number}"
        clone.name = f"{clone.output[0]}_node"
        at = next(i for i, each in enumerate(graph.nodes) if each is before)
        graph.nodes.insert(at, clone)
        if move.output[0] in graph.shapes:
            graph.shapes = {**graph.shapes, clone.output[0]: graph.shapes[move.output[0]]}
        allowed = clone.output[0]
    return allowed, ""


def _drop_nan_guard(graph: FloatGraph, softmax: Any) -> None:
    """Where(IsNaN(y), 0, y): numbers of 8 bits are no NaN. What isn't equal to itself is another spelling."""
    y, producers = softmax.output[0], graph.producers()
    for node in graph.consumers(y):
        if node.op_type != "Where" or node.input[2] != y:
            continue
        asked = producers.get(node.input[0])
        if asked is not None and asked.op_type == "Not":
            asked = producers.get(asked.input[0])
            spelled = asked is not None and asked.op_type == "Equal" and list(asked.input) == [y, y]
        else:
            spelled = asked is not None and asked.op_type == "IsNaN" and asked.input[0] == y
        if spelled and node.output[0] not in graph.outputs:
            for reader in graph.consumers(node.output[0]):
                reader.input[:] = [y if name == node.output[0] else name for name in reader.input]
            graph.nodes = [each for each in graph.nodes if each is not node]
    _drop_unread(graph)


def _drop_unread(graph: FloatGraph) -> None:
    while True:
        read = {name for node in graph.nodes for name in node.input} | set(graph.outputs)
        kept = [node for node in graph.nodes if read.intersection(node.output)]
        if len(kept) == len(graph.nodes):
            return
        graph.nodes = kept


# How low is low enough.


def masked_softmaxes(graph: FloatGraph) -> Iterator[Any]:
    """The Where nodes that choose between scores and -inf."""
    producers = graph.producers()
    for node in graph.nodes:
        where = producers.get(node.input[0]) if node.op_type == "Softmax" else None
        if where is not None and where.op_type == "Where":
            for index in (1, 2):
                value = graph.constants.get(where.input[index])
                if value is not None and np.all(value <= _NEVER):
                    yield where


def bound_masks(graph: FloatGraph, samples: Sequence[Sample]) -> FloatGraph:
    """The graph with a finite number in the place of -inf: where it makes next to nothing of what is masked.

    Args:
        samples: of the inputs; what they make of the scores says where that is.
    """
    found = list(masked_softmaxes(graph))
    if not found:
        return graph
    graph = graph.copy()
    names = [where.output[0] for where in found]
    session = session_of(with_outputs(graph.model(), names))
    values = run_all(session, names, stacked(samples), len(samples), batched=False)
    for where, value in zip(list(masked_softmaxes(graph)), values, strict=True):
        lowest = np.array(lowest_of(value), np.float32)
        for index in (1, 2):
            if where.input[index] in graph.constants:
                where.input[index] = graph.constant(f"{where.output[0]}_lowest", lowest)
    return graph


def lowest_of(scores: Array) -> float:
    """What is low enough for the rows of scores, of which those that are masked are below `_NEVER`."""
    rows = scores.reshape(-1, scores.shape[-1])
    seen = np.where(rows > _NEVER, rows, -np.inf).max(axis=-1)
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return 0.0
    return float(seen.min()) + float(np.log(_SHARE / scores.shape[-1]))

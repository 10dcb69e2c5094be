"""Linear attention, (queries . (keys . values)) / (queries . sum of keys), in a form that 8 bits can have.

EfficientViT (H. Cai et al., "EfficientViT: Lightweight Multi-Scale Attention for High-Resolution Dense Prediction",
ICCV 2023) appends a column of ones to the values, so that one product has sums of keys beside those of values, and one
has divisors beside what they divide. In steps of 8 bits the larger of the two would leave few steps for the other one.
Here they are products of their own (`split_divisors`), whose operands have 8 bits, each with its own scale. What is
divided, and by what, isn't rounded (`unrounded_divisors`): sums are integers of 32 bits, and their quotient is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.quantize.float_graph import FloatGraph, attributes_of

_TINY = 1e-4
"""What is added to a divisor so that it isn't 0."""
_PARTS = frozenset("Identity Reshape Transpose Squeeze Unsqueeze Slice Split Gather".split())
_AXES_ARE_AN_INPUT = 18
"""Of ReduceMean, from this opset on."""


def divisors(graph: FloatGraph) -> list[tuple[Any, Any]]:
    """The Div nodes by a value that only a tiny number keeps from 0, and the Add nodes that add it."""
    found, producers = list[tuple[Any, Any]](), graph.producers()
    for node in graph.nodes:
        add = producers.get(node.input[1]) if node.op_type == "Div" else None
        numbers = [] if add is None else [graph.constants[name] for name in add.input if name in graph.constants]
        if add is not None and add.op_type == "Add" and any(n.size == 1 and 0 < n.max() <= _TINY for n in numbers):
            found.append((node, add))
    return found


def _summand(graph: FloatGraph, add: Any) -> str:
    """What a constant is added to."""
    return next(name for name in add.input if name not in graph.constants)


def unrounded_divisors(graph: FloatGraph) -> set[str]:
    """The values from products of two computed operands to a Div by one of them that only a tiny number keeps from 0.

    In linear attention it is what the weights of a query add up to. In steps of 8 bits it is 0 for some queries, so
    that these values stay as they are, and their quotient is rounded.
    """
    found = set[str]()
    for node, add in divisors(graph):
        path = _from_product(graph, _summand(graph, add))
        if path:
            found.update((add.output[0], *path, *_from_product(graph, node.input[0])))
    return found


def _from_product(graph: FloatGraph, name: str) -> list[str]:
    """A value and those before it, back to a product of two computed operands; none where there is no such product."""
    producers, path = graph.producers(), [name]
    source = producers.get(name)
    while source is not None and (source.op_type in _PARTS or _factor(graph, source) is not None):
        path.append(source.input[0])
        source = producers.get(source.input[0])
    computed = source is not None and source.op_type == "MatMul" and source.input[1] not in graph.constants
    return path if computed else []


def _factor(graph: FloatGraph, node: Any) -> float | None:
    """What a node multiplies its first operand by, if that is a number."""
    number = graph.constants.get(node.input[1]) if node.op_type == "Mul" else None
    return float(number.reshape(())) if number is not None and number.size == 1 else None


def split_divisors(graph: FloatGraph) -> None:
    """Products of their own for divisors; it computes the same."""
    for node, add in divisors(graph):
        divided, by = (_columns(graph, name) for name in (node.input[0], _summand(graph, add)))
        if divided is None or by is None or divided[0] != by[0]:
            continue
        (source, *first), last = divided, by[1:]
        if first == [0, last[0]] and last[1] - last[0] == 1:
            _split(graph, source, node.input[0], _summand(graph, add), last[1])


def _split(graph: FloatGraph, source: str, divided: str, by: str, columns: int) -> None:
    """Args:
    source: the product. divided: its columns but the last one, which is `by`. columns: of the product.
    """
    producers = graph.producers()
    product = producers.get(source)
    inner = None if product is None or product.op_type != "MatMul" else producers.get(product.input[1])
    if product is None or inner is None or inner.op_type != "MatMul" or len(graph.consumers(source)) > 2:
        return
    joined, tokens = producers.get(inner.input[1]), graph.shapes.get(inner.input[0], (0,))[-1]
    found = None if joined is None else _appended(graph, joined, columns)
    alone = (graph.only_consumer(name) is not None for name in (*inner.output, inner.input[1]))
    if joined is None or found is None or tokens < 1 or graph.shapes.get(source, (0,))[-1] != columns or not all(alone):
        return
    values, number = found
    keys, queries = inner.input[0], product.input[0]
    shapes, make = dict(graph.shapes), onnx_module().helper.make_node
    (*rows, _), (*heads, _) = shapes[source], shapes.get(inner.output[0], shapes[source])
    mean, sums, weights = f"{source}_mean_key", f"{source}_sums", f"{source}_weights"
    shapes |= {sums: (*heads, columns - 1), mean: (*heads, 1), weights: (*rows, 1)}
    shapes |= {divided: (*rows, columns - 1), by: (*rows, 1)}
    factor = graph.constant(f"{source}_tokens", np.array(number * tokens, np.float32))
    new = [
        make("MatMul", [keys, values], [sums], f"{sums}_node"),
        _mean(graph, keys, mean),
        make("MatMul", [queries, sums], [divided], f"{divided}_node"),
        make("MatMul", [queries, mean], [weights], f"{weights}_node"),
        make("Mul", [weights, factor], [by], f"{by}_node"),
    ]
    at = next(i for i, each in enumerate(graph.nodes) if each is product)
    gone = [producers[divided], producers[by], product, inner, joined]
    kept = [[each for each in part if each not in gone] for part in (graph.nodes[:at], graph.nodes[at:])]
    graph.nodes = [*kept[0], *new, *kept[1]]
    graph.shapes = shapes


def _mean(graph: FloatGraph, x: str, result: str) -> Any:
    """The mean over the last axis, which stays."""
    make, axis = onnx_module().helper.make_node, len(graph.shapes[x]) - 1
    if graph.opset >= _AXES_ARE_AN_INPUT:
        axes = graph.constant(f"{result}_axes", np.array([axis], np.int64))
        return make("ReduceMean", [x, axes], [result], f"{result}_node", keepdims=1)
    return make("ReduceMean", [x], [result], f"{result}_node", axes=[axis], keepdims=1)


def _columns(graph: FloatGraph, name: str) -> tuple[str, int, int] | None:
    """(source, first, last + 1): which part along the last axis of another value this one is."""
    node = graph.producers().get(name)
    shape = None if node is None else graph.shapes.get(node.input[0])
    if node is None or shape is None:
        return None
    if node.op_type == "Slice":
        given = [graph.constants.get(each) for each in node.input[1:]]
        if any(each is None or each.size != 1 for each in given) or len(given) < 3:
            return None
        start, end, axis, step = [int(each.reshape(())) for each in given if each is not None] + [1] * (4 - len(given))
        found = range(shape[-1])[start:end:step]
        return (node.input[0], found.start, found.stop) if _is_last(axis, shape) and step == 1 else None
    if node.op_type == "Split" and _is_last(int(attributes_of(node).get("axis", 0)), shape):
        sizes = [graph.shapes.get(each, (0,))[-1] for each in node.output]
        at = list(node.output).index(name)
        first = sum(sizes[:at])
        return (node.input[0], first, first + sizes[at]) if sum(sizes) == shape[-1] else None
    return None


def _is_last(axis: int, shape: Sequence[int]) -> bool:
    return axis % len(shape) == len(shape) - 1


def _appended(graph: FloatGraph, node: Any, columns: int) -> tuple[str, float] | None:
    """The value to which a node appends a column of one number, and that."""
    if node.op_type == "Concat" and len(node.input) == 2:
        values, number = node.input[0], graph.constants.get(node.input[1])
        at_end = attributes_of(node)["axis"] in (-1, len(graph.shapes.get(values, ())) - 1)
        even = (
            number is not None and number.size > 0 and number.shape[-1] == 1 and bool(np.all(number == number.flat[0]))
        )
        return (values, float(number.flat[0])) if number is not None and at_end and even else None
    if node.op_type != "Pad" or attributes_of(node).get("mode", b"constant") != b"constant" or len(node.input) != 3:
        return None
    pads, fill = (graph.constants.get(name) for name in node.input[1:])
    if pads is None or fill is None or fill.size != 1 or [*pads.ravel()] != [0] * (pads.size - 1) + [1]:
        return None
    return node.input[0], float(fill.reshape(()))

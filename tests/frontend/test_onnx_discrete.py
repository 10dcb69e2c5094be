"""Truth values and integers in int8 models, and what takes or puts elements by positions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, imported, kinds
from tests.support.onnx_qdq import Qdq, random_ints

SHAPE = (2, 4, 6)


def ints(q: Qdq, *values: int) -> str:
    return q.b.constant(values, np.int64)


def other(q: Qdq) -> str:
    """A second int8 tensor, of the same quantisation."""
    return q.b.activation(q.b.node("Neg", q.a), q.scale, q.zero, q.type_name)


def real(q: Qdq, value: float) -> str:
    return q.b.constant(value, np.float32)


NUMBERS: dict[str, tuple[str, Callable[[Qdq], str]]] = {
    "arg max": ("int64", lambda q: q.b.node("ArgMax", q.a, axis=1)),
    "arg min, last": ("int64", lambda q: q.b.node("ArgMin", q.a, axis=2, keepdims=0, select_last_index=1)),
    "arg max of relu": ("int64", lambda q: q.b.node("ArgMax", q.b.node("Relu", q.a), axis=-1)),
    "comparison with a number": ("bool", lambda q: q.b.node("LessOrEqual", q.a, real(q, 0.21))),
    "equal tensors": ("bool", lambda q: q.b.node("Equal", q.a, other(q))),
    "greater tensors": ("bool", lambda q: q.b.node("Greater", q.a, other(q))),
    "logic": (
        "bool",
        lambda q: q.b.node(
            "Or",
            q.b.node("Not", q.b.node("And", q.b.node("Less", q.a, real(q, 1.0)), q.b.node("Greater", q.a, other(q)))),
            q.b.node("Xor", q.b.node("Equal", q.a, other(q)), q.b.constant(True)),
        ),
    ),
    "arithmetic of positions": (
        "int64",
        lambda q: q.b.node(
            "Mul", q.b.node("Add", q.b.node("ArgMax", q.a, axis=1), ints(q, 2, 1, 0, 5, 6, 7)), ints(q, 3)
        ),
    ),
    "conversion": (
        "int32",
        lambda q: q.b.node("Cast", q.b.node("Greater", q.a, q.b.node("Sigmoid", q.a)), to=6),
    ),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers(case):
    """No float32 is computed for them."""
    dtype, build = NUMBERS[case]
    q = Qdq(SHAPE, "uint8", 1)
    q.b.output(build(q), dtype)
    graph, _ = imported(q.b.model())
    x = q.rng.normal(0, 3, SHAPE).astype(np.float32)
    assert not Agreement(q.b.model(), graph).difference({q.x: x})
    assert "dequantize" not in kinds(graph)


def second(q: Qdq, outputs: int, kind: str, *operands: str, **attributes: int) -> list[str]:
    names = [q.b.name(kind.lower()) for _ in range(outputs)]
    q.b.node(kind, *operands, **attributes)
    node = q.b.nodes[-1]
    del node.output[:]
    node.output.extend(names)
    return names


@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(largest):
    q = Qdq(SHAPE, "int8", 2)
    elements, positions = second(q, 2, "TopK", q.a, ints(q, 3), axis=1, largest=largest)
    q.b.output(positions, "int64")
    graph = q.agrees(elements)
    assert kinds(graph).count("dequantize") == 1


MOVES: dict[str, Callable[[Qdq], str]] = {
    "where": lambda q: q.b.node("Where", q.b.node("Greater", q.a, other(q)), q.a, q.b.node("Tanh", q.a)),
    "where, with a constant": lambda q: q.b.node("Where", q.b.node("Less", q.a, other(q)), q.a, real(q, -1.7)),
    "where, constant condition": lambda q: q.b.node("Where", q.b.constant([True, False] * 3), q.a, other(q)),
    "expand": lambda q: q.b.node("Expand", q.b.node("ReduceMax", q.a, axes=[1]), ints(q, 3, 2, 5, 6)),
    "tile": lambda q: q.b.node("Tile", q.a, ints(q, 1, 2, 3)),
    "gather by positions": lambda q: q.b.node("Gather", q.a, q.b.node("ArgMax", q.a, axis=1), axis=1),
    "gather nd": lambda q: q.b.node("GatherND", q.a, q.b.constant([[1, -1], [0, 2]], np.int64)),
    "gather elements": lambda q: q.b.node("GatherElements", q.a, q.b.constant([[[1, -1, 3]]], np.int64), axis=1),
    "scatter nd": lambda q: q.b.node(
        "ScatterND", q.a, q.b.constant([[1, -1], [0, 2]], np.int64), q.b.node("ReduceMax", q.a, axes=[1], keepdims=0)
    ),
    "scatter elements": lambda q: q.b.node(
        "ScatterElements", q.a, q.b.constant([[[1, -1]]], np.int64), corner(q), axis=1
    ),
}


def corner(q: Qdq) -> str:
    """Two elements of another tensor."""
    return q.b.node("Slice", other(q), ints(q, 0, 0, 0), ints(q, 1, 1, 2))


@pytest.mark.parametrize("case", MOVES)
def test_moves(case):
    q = Qdq(SHAPE, "uint8", 3)
    assert kinds(q.agrees(MOVES[case](q))).count("dequantize") == 1


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_an_embedding_in_int8(dtype):
    """Indices from outside; negative ones count from the end."""
    b, rng = OnnxBuilder(), np.random.default_rng(4)
    indices = b.input((2, 5), dtype)
    table = b.weights(random_ints((9, 4), "int8", rng), 0.05, 3)
    b.output(b.activation(b.node("Gather", table, indices), 0.06, -3))
    graph, _ = imported(b.model())
    feed = rng.integers(-9, 9, (2, 5)).astype(dtype)
    assert not Agreement(b.model(), graph).difference({indices: feed})
    assert kinds(graph).count("dequantize") == 1


CLIPS: dict[str, Callable[[Qdq, str], str]] = {
    "clip": lambda q, x: q.b.node("Clip", x, q.b.constant(100, np.uint8), q.b.constant(150, np.uint8)),
    "max": lambda q, x: q.b.node("Max", x, q.b.constant(120, np.uint8)),
    "concat": lambda q, x: q.b.node("Concat", x, x, axis=1),
    "pad": lambda q, x: q.b.node("Pad", x, ints(q, 0, 1, 0, 1, 0, 0, 0, 2), q.b.constant(7, np.uint8)),
    "max pool": lambda q, x: q.b.node("MaxPool", x, kernel_shape=[2, 2]),
    "slice": lambda q, x: q.b.node("Slice", x, *map(q.b.constant, ([1], [3], [3]))),
}


@pytest.mark.parametrize("case", CLIPS)
@pytest.mark.parametrize("source", ["input", "table", "convolution"])
def test_operators_of_the_bytes(case, source):
    """Between QuantizeLinear and DequantizeLinear, as Brevitas writes activations of few bits."""
    q = Qdq((1, 3, 5, 6), "uint8", 5, opset=18)
    y = q.x if source == "input" else q.b.node("Sigmoid", q.a)
    if source == "convolution":
        w, scale = q.conv_weights((3, 3, 3, 3))
        y = q.b.node("Conv", q.a, w, q.bias(3, scale))
    q.b.output(q.b.dequantize(CLIPS[case](q, q.b.quantize(y, 0.1, 110, "uint8")), 0.1, 110, "uint8"))
    graph, _ = imported(q.b.model())
    x = q.rng.normal(0, 3, q.shape).astype(np.float32)
    assert not Agreement(q.b.model(), graph).difference({q.x: x})
    if case == "clip" and source != "input":
        assert kinds(graph.without_dead()).count("lookup") == (source == "table"), "the bounds are those of the layer"

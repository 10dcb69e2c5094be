"""Graphs with control flow: a counter and a matrix in a loop, branches of different sizes, one inside the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT32
from tinycompile.ir import Array, Graph, Node, Op, Quantization, TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.conditional import Conditional
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.less import Less
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.reduce_any import ReduceAny
from tinycompile.ops.relu import Relu
from tinycompile.ops.while_loop import WhileLoop

COUNT = TensorType((1,), INT32)
GOING = TensorType((1,), BOOL)
VECTOR = TensorType((1, 8), INT8, Quantization.per_tensor(0.05, -3))
REAL = TensorType((1, 8), FLOAT32)


def graph_of(
    nodes: list[tuple[Op, str, str]],
    inputs: dict[str, TensorType],
    outputs: dict[str, TensorType],
    inner: dict[str, TensorType] | None = None,
    constants: dict[str, tuple[TensorType, Array]] | None = None,
) -> Graph:
    """Of nodes (operator, operands, results), values separated by spaces."""
    known = constants or {}
    types = {**inputs, **outputs, **(inner or {}), **{name: t for name, (t, _) in known.items()}}
    made = tuple(Node(f"n{i}", op, tuple(a.split()), tuple(b.split())) for i, (op, a, b) in enumerate(nodes))
    return Graph("g", tuple(inputs), tuple(outputs), made, types, {name: value for name, (_, value) in known.items()})


def weights(seed: int = 0) -> tuple[TensorType, Array]:
    values = np.random.default_rng(seed).integers(-60, 61, (8, 8)).astype(np.int8)
    return TensorType((8, 8), INT8, Quantization(np.full(8, 0.01, np.float32), np.zeros(8, np.int64), 0)), values


def loop(turns: int | None = None) -> WhileLoop:
    """(i, v, limit, w): while i < limit: i += 1, v = relu(weights * v + w)."""
    given = {"i": COUNT, "v": VECTOR, "limit": COUNT, "w": VECTOR}
    condition = graph_of([(Less(), "i limit", "going")], given, {"going": GOING})
    one = (COUNT, np.array([1], np.int32))
    body = graph_of(
        [
            (FullyConnected(), "v k", "product"),
            (Add(), "product w", "sum"),
            (Relu(), "sum", "next"),
            (Add(), "i one", "j"),
        ],
        given,
        {"j": COUNT, "next": VECTOR},
        {"product": VECTOR, "sum": VECTOR},
        {"k": weights(), "one": one},
    )
    return WhileLoop(condition, body, turns)


def growing() -> WhileLoop:
    """(v, w): while any of v is less than w there: v = the larger ones."""
    given = {"v": VECTOR, "w": VECTOR}
    inner = {"below": TensorType((1, 8), BOOL)}
    condition = graph_of(
        [(Less(), "v w", "below"), (ReduceAny((1,), False), "below", "going")], given, {"going": GOING}, inner
    )
    body = graph_of([(Maximum(), "v w", "next")], given, {"next": VECTOR})
    return WhileLoop(condition, body)


def swap() -> WhileLoop:
    """(i, a, b): while i < 3: i += 1, a, b = b, a + b."""
    given = {"i": COUNT, "a": VECTOR, "b": VECTOR}
    three, one = ((COUNT, np.array([n], np.int32)) for n in (3, 1))
    condition = graph_of([(Less(), "i three", "going")], given, {"going": GOING}, constants={"three": three})
    body = graph_of(
        [(Add(), "i one", "j"), (Add(), "a b", "c")],
        given,
        {"j": COUNT, "b": VECTOR, "c": VECTOR},
        constants={"one": one},
    )
    return WhileLoop(condition, body)


def branches() -> Conditional:
    """(condition, v, w): weights * v + w and v; or w and a constant."""
    given = {"v": VECTOR, "w": VECTOR}
    then = graph_of(
        [(FullyConnected(), "v k", "product"), (Add(), "product w", "sum")],
        given,
        {"sum": VECTOR, "v": VECTOR},
        {"product": VECTOR},
        {"k": weights(1)},
    )
    fixed = (VECTOR, np.arange(8, dtype=np.int8).reshape(1, 8))
    otherwise = graph_of([], given, {"w": VECTOR, "fixed": VECTOR}, constants={"fixed": fixed})
    return Conditional(then, otherwise)


def nested() -> Conditional:
    """(condition, i, v, limit, w): the loop; or a branch that depends on whether i < limit."""
    given = {"i": COUNT, "v": VECTOR, "limit": COUNT, "w": VECTOR}
    then = graph_of([(loop(), "i v limit w", "j x")], given, {"x": VECTOR}, {"j": COUNT})
    inner = graph_of(
        [(Less(), "i limit", "going"), (branches(), "going v w", "x y")],
        given,
        {"x": VECTOR},
        {"going": GOING, "y": VECTOR},
    )
    return Conditional(then, inner)


def single(op: Op, inputs: dict[str, TensorType], outputs: dict[str, TensorType]) -> Graph:
    """A graph of this operator alone."""
    return graph_of([(op, " ".join(inputs), " ".join(outputs))], inputs, outputs)


def with_constant(graph: Graph, name: str, value: Array) -> Graph:
    """With an input that is known."""
    left = tuple(each for each in graph.inputs if each != name)
    return replace(graph, inputs=left, constants={**graph.constants, name: value})


GRAPHS = {
    "loop": single(loop(), {"i": COUNT, "v": VECTOR, "limit": COUNT, "w": VECTOR}, {"j": COUNT, "x": VECTOR}),
    "swap": single(swap(), {"i": COUNT, "a": VECTOR, "b": VECTOR}, {"j": COUNT, "x": VECTOR, "y": VECTOR}),
    "branches": single(branches(), {"c": GOING, "v": VECTOR, "w": VECTOR}, {"x": VECTOR, "y": VECTOR}),
    "nested": single(nested(), {"c": GOING, "i": COUNT, "v": VECTOR, "limit": COUNT, "w": VECTOR}, {"x": VECTOR}),
}
GRAPHS["known"] = with_constant(
    with_constant(with_constant(GRAPHS["loop"], "i", np.array([2], np.int32)), "limit", np.array([5], np.int32)),
    "w",
    np.full((1, 8), 9, np.int8),
)


def random_inputs(graph: Graph, seed: int) -> list[Array]:
    """Of any of them: counters small."""
    rng, found = np.random.default_rng(seed), list[Array]()
    for name in graph.inputs:
        t = graph.types[name]
        low, high = {BOOL: (0, 2), INT32: (0, 6)}.get(t.dtype, (-128, 128))
        found.append(rng.integers(low, high, t.shape).astype(t.dtype.carrier))
    return found

"""Attention as frameworks write it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod

import numpy as np

from tests.support.fused_nodes import Nodes
from tests.support.kernel_checks import int8
from tinycompile.dtypes import INT32
from tinycompile.ir import Graph, Node, TensorType
from tinycompile.numerics.step_requant import exact_requant, real_product
from tinycompile.ops._elementwise import Framework
from tinycompile.ops.add import Add
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.mul import Mul
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.select import Select
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.spatial_sum import SpatialSum
from tinycompile.ops.transpose import Transpose

PROBABILITIES = int8((), 1 / 256, -128)


def graph_of(
    heads: int, queries: int, keys: int, depth: int, results: int | None = None, *, scale: float = 0.25
) -> Graph:
    """As Keras writes it: the heads of a token beside each other, a scale behind the product.

    Args:
        results: elements of a head's values; None for `depth`.
        scale: to the next step of the scores' type, so that 0.25 is the function that leaves scores as they are.
    """
    n = Nodes()
    q, k = n.given("q", (1, queries, heads, depth), 0.03, 4), n.given("k", (1, keys, heads, depth), 0.02, -7)
    v = n.given("v", (1, keys, heads, results or depth), 0.05, 11)
    q, k = n.add("qt", Transpose((0, 2, 1, 3)), [q]), n.add("kt", Transpose((0, 2, 3, 1)), [k])
    step = 0.03 * 0.02 * 90 * depth**0.5
    s = n.add("s", BatchMatMul(), [q, k], int8((), step, 5))
    s = n.add("m", Mul(), [s, n.scalar("c", 127, scale / 255)], int8((), step / 4, 5))
    p = n.add("p", Softmax(), [n.add("r", Reshape(n.types[s].shape), [s])], PROBABILITIES)
    v = n.add("vt", Transpose((0, 2, 1, 3)), [v])
    y = n.add("y", BatchMatMul(), [p, v], int8((), 0.02, -3))
    n.add("z", Transpose((0, 2, 1, 3)), [n.add("w", Reshape(n.types[y].shape), [y])])
    return n.graph


def masked_graph(heads: int, queries: int, keys: int, depth: int, way: str) -> Graph:
    """Where no key behind the query is looked at.

    Args:
        way: "choice": a low score takes the place of others, "local": also of keys far before the query. "sum": of a
            large number and the score little is left.
    """
    n = Nodes()
    q, *others = (
        n.given(name, (heads, count, depth), 0.03, 4) for name, count in (("q", queries), ("k", keys), ("v", keys))
    )
    k, v = others
    s = n.add("s", BatchMatMul(adj_y=True), [q, k], int8((), 0.1, 5))
    seen = np.tril(np.ones((1, queries, keys), bool), keys - queries)
    if way == "local":
        seen &= ~np.tril(np.ones((1, queries, keys), bool), keys - queries - 4)
    if way in ("choice", "local"):
        s = n.add(
            "m",
            Select(),
            [n.constant("seen", seen), s, n.constant("low", np.array(-128, np.int8), 0.1, 5)],
            int8((), 0.1, 5),
        )
    else:
        hidden = n.constant("hidden", np.where(seen, 0, -100).astype(np.int8), 0.1)
        s = n.add("m", Add(), [s, hidden], int8((), 0.15, 40))
    p = n.add("p", Softmax(), [s], PROBABILITIES)
    n.add("y", BatchMatMul(), [p, v], int8((), 0.02, -3))
    return n.graph


def torch_graph(heads: int, tokens: int, depth: int) -> Graph:
    """As litert-torch writes it: heads first, without a batch, keys transposed twice."""
    n = Nodes()
    q, k, v = (n.given(name, (tokens, heads, depth), 0.03, zero) for name, zero in (("q", 3), ("k", 0), ("v", -9)))
    q, k, v = (n.add(f"{name}t", Transpose((1, 0, 2)), [name]) for name in (q, k, v))
    k = n.add("kr", Reshape((1, heads, tokens, depth)), [k])
    k = n.add("krt", Transpose((0, 1, 3, 2)), [k])
    s = n.add("s", BatchMatMul(), [q, n.add("kk", Reshape((heads, depth, tokens)), [k])], int8((), 0.2, 0))
    s = n.add("sr", Reshape((1, heads, tokens, tokens)), [s])
    p = n.add("pr", Reshape((heads, tokens, tokens)), [n.add("p", Softmax(), [s], PROBABILITIES)])
    y = n.add("yr", Reshape((1, heads, tokens, depth)), [n.add("y", BatchMatMul(), [p, v], int8((), 0.02, 1))])
    n.add("z", Transpose((2, 0, 1, 3)), [y])
    return n.graph


def plain_graph(tokens: int, depth: int, rule: Framework = "tflite") -> Graph:
    """One tensor is query, key and value; keys are its rows, and so is the result.

    Args:
        rule: of the softmax; products of ONNX's have one rounding, of the real number.
    """
    n = Nodes()
    x = n.given("x", (1, tokens, depth), 0.04, -2)
    once = [
        None if rule == "tflite" else exact_requant(real_product(0.04, np.array([f])), [Fraction(0)], to, 3, -128, 127)
        for f, to in ((0.04, Fraction(3, 10)), (2.0**-8, Fraction(3, 100)))
    ]
    s = n.add("s", BatchMatMul(adj_y=True, rule=once[0]), [x, x], int8((), 0.3, 3))
    p = n.add("p", Softmax(rule=rule), [s], PROBABILITIES)
    n.add("y", BatchMatMul(rule=once[1]), [p, x], int8((), 0.03, 3))
    return n.graph


def reshaped_graph(
    scores: tuple[int, ...], probabilities: tuple[int, ...], value: tuple[int, ...], softmax: tuple[int, ...] = ()
) -> Graph:
    """Reshapes around the softmax, which may split and merge axes.

    Args:
        scores, probabilities: shapes of the products' results and operands. value: of the values.
        softmax: what the softmax reads; () for the shape of the scores.
    """
    n = Nodes()
    q, k = n.given("q", (*scores[:-1], 5), 0.03, 4), n.given("k", (*scores[:-2], scores[-1], 5), 0.02, -7)
    s = n.add("s", BatchMatMul(adj_y=True), [q, k], int8((), 0.1, 3))
    p = n.add("p", Softmax(), [n.add("sr", Reshape(softmax or scores), [s])], PROBABILITIES)
    p = n.add("r", Reshape(probabilities), [p])
    n.add("y", BatchMatMul(), [p, n.given("v", value, 0.05, 11)], int8((), 0.02, -3))
    return n.graph


def weighed(graph: Graph) -> Graph:
    """The same, with sums of the columns of probabilities, as where tokens are pruned."""
    at = next(i for i, node in enumerate(graph.nodes) if isinstance(node.op, Softmax))
    (image,) = graph.nodes[at].outputs
    t, nodes = graph.types[image], list[Node]()
    types = {**graph.types, "sums": TensorType((1, 1, 1, t.shape[-1]), INT32)}
    if len(t.shape) != 4:
        shape = (1, prod(t.shape[:-2]), *t.shape[-2:])
        types["image"] = replace(t, shape=shape)
        nodes.append(Node("image", Reshape(shape), (image,), ("image",)))
        image = "image"
    nodes.append(Node("sums", SpatialSum(), (image,), ("sums",)))
    return replace(graph, nodes=(*graph.nodes[: at + 1], *nodes, *graph.nodes[at + 1 :]), types=types)

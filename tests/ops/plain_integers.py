"""Functions of integers without scales against Python's integers, which have no size; and their kernels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from tests.ops.agreement import check_kernels
from tinycompile import interpreter
from tinycompile.dtypes import INT8, UINT64, DType
from tinycompile.ir import Graph, Node, Op, TensorType
from tinycompile.ops._integers import PLAIN

Function = Callable[[int, int, int], int]
"""Of two numbers and the number of bits; the result is wrapped."""


def check_pairs(op: Op, function: Function) -> None:
    """All types: ends of their ranges, small and random numbers, each with each; the kernels on two of the types."""
    for dtype in PLAIN:
        values = _numbers(dtype)
        a, b = (np.ascontiguousarray(v) for v in np.meshgrid(values, values, indexing="ij"))
        graph = _graph(op, dtype, a.shape)
        found = interpreter.run(graph, [a, b])["y"]
        pairs = product(values.tolist(), repeat=2)
        expected = [_wrapped(function(x, z, dtype.bits), dtype) for x, z in pairs]
        np.testing.assert_array_equal(found.ravel(), np.array(expected, dtype.carrier))
        if dtype in (INT8, UINT64):
            check_kernels(graph, graph.nodes[0], {"a": a, "b": b, "y": found})


def _numbers(dtype: DType) -> np.ndarray:
    low, high = dtype.range
    rng = np.random.default_rng(dtype.bits)
    some = rng.integers(low, high, 12, dtype.carrier, endpoint=True)
    small = [n for n in (-9, -2, -1, 0, 1, 2, 3, 7, 8, 63, 64, 65) if low <= n <= high]
    return np.array([low, low + 1, high - 1, high, *small, *some], dtype.carrier)


def _graph(op: Op, dtype: DType, shape: tuple[int, ...]) -> Graph:
    t = TensorType(shape, dtype)
    ((_, result),) = op.infer((t, t))
    return Graph(
        "pairs",
        ("a", "b"),
        ("y",),
        (Node("n", op, ("a", "b"), ("y",)),),
        {"a": t, "b": t, "y": TensorType(shape, result)},
        {},
    )


def _wrapped(value: int, dtype: DType) -> int:
    low, high = dtype.range
    return (value - low) % (high - low + 1) + low

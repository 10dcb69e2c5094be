"""Running products against NumPy, and their kernels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.agreement import check_kernels
from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32, INT32, INT64, DType
from tinycompile.ir import Graph, Node, TensorType
from tinycompile.ops.cumulative_product import CumulativeProduct


@pytest.mark.parametrize("dtype", [FLOAT32, INT32, INT64], ids=str)
def test_all_ways(dtype: DType):
    """Floats are multiplied in order, so that they agree bit by bit."""
    x = np.random.default_rng(0).normal(0, 9, (2, 4, 3)).astype(dtype.carrier)
    for axis, exclusive, reverse in ((1, False, False), (0, True, False), (2, False, True), (1, True, True)):
        t = TensorType(x.shape, dtype)
        node = Node("n", CumulativeProduct(axis, exclusive, reverse), ("x",), ("y",))
        graph = Graph("product", ("x",), ("y",), (node,), {"x": t, "y": t}, {})
        found = interpreter.run(graph, [x])["y"]
        turned = np.moveaxis(np.flip(x, axis) if reverse else x, axis, 0)
        expected, total = np.empty_like(turned), np.ones_like(turned[0])
        for i, row in enumerate(turned):
            expected[i] = total if exclusive else total * row
            total = total * row
        expected = np.moveaxis(expected, 0, axis)
        np.testing.assert_array_equal(found, np.flip(expected, axis) if reverse else expected)
        check_kernels(graph, node, {"x": x, "y": found})

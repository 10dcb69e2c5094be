"""MatMulInteger against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.ops.integer_products import compare
from tinycompile.ops.matmul_integer import MatMulInteger


@pytest.mark.parametrize(("x", "y"), [((3, 12), (12, 5)), ((2, 1, 3, 12), (4, 12, 5))])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_sums(x, y, dtype):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 256, shape).astype(np.uint8).view(dtype) for shape in (x, y))
    compare(MatMulInteger(), "MatMulInteger", a, b, np.array(7, dtype), np.array(9, dtype))


def test_a_zero_point_for_each_column():
    rng = np.random.default_rng(2)
    a, b = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((3, 12), (12, 5)))
    compare(MatMulInteger(), "MatMulInteger", a, b, np.array(77, np.uint8), np.arange(90, 95).astype(np.uint8))

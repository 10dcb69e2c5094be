"""ConvInteger against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.ops.integer_products import compare
from tinycompile.ops.conv_integer import ConvInteger


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_sums(group, dtype):
    rng = np.random.default_rng(group)
    x = rng.integers(0, 256, (2, 4, 8, 7)).astype(np.uint8)
    w = rng.integers(0, 256, (8, 4 // group, 3, 2)).astype(np.uint8).view(dtype)
    op = ConvInteger((2, 1), (1, 2), (1, 0, 2, 1))
    attributes = {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 2, 0, 1], "group": group}
    compare(op, "ConvInteger", x, w, np.array(77, np.uint8), np.array(9, dtype), **attributes)

"""DynamicQuantizeLinear against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.ops.integer_products import onnxruntime_results
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.dynamic_quantize import DynamicQuantize


def test_all_results():
    """Of tensors on either side of 0, around it, and of zeros; halves among them."""
    rng, op = np.random.default_rng(0), DynamicQuantize()
    samples = [rng.normal(mean, spread, 120) for mean in (-3, 0, 0.4, 5) for spread in (0.01, 1, 40)]
    samples += [np.zeros(120), np.arange(-80, 40) / 2, np.full(120, 3.0), np.r_[np.arange(119) + 0.5, 255]]
    for data in samples:
        x = data.astype(np.float32)
        y, scale, zero_point = op.evaluate(Signature((TensorType(x.shape, FLOAT32),), ()), [x])
        want = onnxruntime_results("DynamicQuantizeLinear", [x], ["uint8", "float32", "uint8"])
        np.testing.assert_array_equal(y.astype(np.int16) + 128, want[0])
        assert scale == want[1] and zero_point.astype(np.int16) + 128 == want[2]

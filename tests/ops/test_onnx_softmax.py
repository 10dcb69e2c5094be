"""Softmax against real numbers: the nearest integer, but for what is within 10^-6 of a tie."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.onnx_softmax import OnnxSoftmax


@pytest.mark.parametrize(("depth", "scale"), [(2, 0.3), (10, 0.07), (1000, 0.01)])
@pytest.mark.parametrize("output", [(1 / 256, -128), (0.00391, -100), (0.02, 3)])
def test_rounding(depth, scale, output):
    x = np.random.default_rng(depth).integers(-128, 128, (50, depth)).astype(np.int8)
    sig = Signature((int8(x.shape, scale, 4),), (int8(x.shape, *output),))
    (got,) = OnnxSoftmax().evaluate(sig, [x])
    real = np.exp((x.astype(np.float64) - x.max(axis=1, keepdims=True)) * sig.input.scale)
    quotient = real / real.sum(axis=1, keepdims=True) / sig.output.scale
    is_tie = np.abs(quotient - np.floor(quotient) - 0.5) < 1e-6
    expected = np.clip(np.rint(quotient) + output[1], -128, 127)
    assert np.array_equal(got[~is_tie], expected[~is_tie])


def test_depth():
    sig = Signature((int8((1, 5000)),), (int8((1, 5000)),))
    assert "5000" in str(OnnxSoftmax().unsupported(sig))

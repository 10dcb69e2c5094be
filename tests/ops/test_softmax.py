"""SOFTMAX against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float, normal
from tests.ops.oracle import check, full_range, scales, seeds, thorough, zero_points
from tests.support.kernel_checks import int8
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.kernels.float_ops import softmax
from tinycompile.ops.softmax import Softmax


def check_softmax(values, beta, scale, zero_point=0):
    b = TfliteBuilder()
    x = b.tensor(values.shape, scale, zero_point)
    y = b.tensor(values.shape, 1 / 256, -128)
    b.op("SOFTMAX", [x], [y], Beta=beta)
    return check(b, [y], {x: values})


@thorough
@given(
    st.sampled_from([(1, 10), (4, 12), (1, 2), (1, 1), (1, 3, 5, 7), (1, 300)]),
    st.sampled_from([1.0, 0.5, 3.0]), scales, zero_points, seeds,
)  # fmt: skip
def test_random(shape, beta, scale, zero_point, seed):
    check_softmax(full_range(np.random.default_rng(seed), shape), beta, scale, zero_point)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1 / 256, 0.1, 1.0, 31.0, 1000.0, 1e9])
def test_extreme_scales(scale):
    rng = np.random.default_rng(0)
    check_softmax(full_range(rng, (40, 9)), 1.0, scale)
    check_softmax(np.sort(rng.integers(-128, -120, (40, 9)), axis=1).astype(np.int8), 1.0, scale)


def test_every_difference():
    values = np.stack([np.full(256, 127), np.arange(-128, 128)], axis=1).astype(np.int8)
    for scale in (0.01, 0.05, 0.3):
        check_softmax(values, 1.0, scale)


def test_the_largest_sum_that_litert_takes():
    check_softmax(np.zeros((1, 511), np.int8), 1.0, 0.1)


@pytest.mark.parametrize("depth", [512, 1000, 4095])
def test_equal_elements_beyond_that_have_probability_0(depth):
    """LiteRT aborts on them."""
    x = TensorType((1, depth), INT8, Quantization.per_tensor(0.1, 0))
    y = TensorType((1, depth), INT8, Quantization.per_tensor(1 / 256, -128))
    (result,) = Softmax().evaluate(Signature((x,), (y,)), [np.zeros((1, depth), np.int8)])
    assert (result == -128).all()


def test_rules():
    def reason(shape, scale, y_scale, zero_point):
        x = TensorType(shape, INT8, Quantization.per_tensor(scale, 0))
        y = TensorType(shape, INT8, Quantization.per_tensor(y_scale, zero_point))
        return Softmax().unsupported(Signature((x,), (y,)))

    assert reason((1, 10), 0.1, 1 / 256, -128) is None
    assert reason((1, 4096), 0.1, 1 / 256, -128) is not None
    with pytest.raises(ValueError, match="a scalar, which has no channels"):
        Softmax().infer([TensorType((), INT8)])
    assert reason((1, 10), 1e-9, 1 / 256, -128) is not None
    assert reason((1, 10), 0.1, 1 / 128, -128) is not None


@pytest.mark.parametrize(("depth", "scale"), [(2, 0.3), (10, 0.07), (1000, 0.01)])
@pytest.mark.parametrize("output", [(1 / 256, -128), (0.00391, -100), (0.02, 3)])
def test_rounding_by_the_rule_of_onnx(depth, scale, output):
    x = np.random.default_rng(depth).integers(-128, 128, (50, depth)).astype(np.int8)
    sig = Signature((int8(x.shape, scale, 4),), (int8(x.shape, *output),))
    (got,) = Softmax(rule="onnx").evaluate(sig, [x])
    real = np.exp((x.astype(np.float64) - x.max(axis=1, keepdims=True)) * sig.input.scale)
    quotient = real / real.sum(axis=1, keepdims=True) / sig.output.scale
    is_tie = np.abs(quotient - np.floor(quotient) - 0.5) < 1e-6
    expected = np.clip(np.rint(quotient) + output[1], -128, 127)
    assert np.array_equal(got[~is_tie], expected[~is_tie])


def test_depth_by_the_rule_of_onnx():
    sig = Signature((int8((1, 5000)),), (int8((1, 5000)),))
    assert "5000" in str(Softmax(rule="onnx").unsupported(sig))


@pytest.mark.parametrize("shape", [(3, 10), (2, 3, 5), (7,)])
def test_floats(shape):
    check_float(softmax, Softmax(0.7), [normal(*shape)])

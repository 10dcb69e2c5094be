"""LEAKY_RELU against LiteRT."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float_unary
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.leaky_relu import LeakyRelu


@thorough
@given(scales, zero_points, scales, zero_points, st.sampled_from([0.0, 0.01, 0.2, 0.3, 1.5]))
def test_every_value(x_scale, x_zero, y_scale, y_zero, alpha):
    check_unary("LEAKY_RELU", (x_scale, x_zero), (y_scale, y_zero), Alpha=alpha)


def test_negative_slopes_are_refused():
    x = TensorType((4,), INT8, Quantization.per_tensor(1.0, 0))
    assert LeakyRelu(-0.5).unsupported(Signature((x,), (x,))) is not None


def test_floats():
    check_float_unary(LeakyRelu(0.3))
    check_float_unary(LeakyRelu(-1.0))

"""HARD_SWISH against LiteRT."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float_unary
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.hard_swish import HardSwish


@thorough
@given(scales, zero_points, st.floats(1 / 120, 4), zero_points)
def test_every_value(scale, x_zero, ratio, y_zero):
    check_unary("HARD_SWISH", (scale, x_zero), (scale * ratio, y_zero))


def test_large_inputs():
    for scale in (1e-5, 10.0, 1000.0, 1e5):
        check_unary("HARD_SWISH", (scale, 3), (scale, -3))


def test_refuses_scales_that_litert_refuses():
    x, y = (TensorType((4,), INT8, Quantization.per_tensor(scale, 0)) for scale in (1.0, 0.001))
    assert HardSwish().unsupported(Signature((x,), (y,))) is not None


def test_floats():
    check_float_unary(HardSwish())

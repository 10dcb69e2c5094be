"""TANH against LiteRT."""

from __future__ import annotations

from hypothesis import given

from tests.ops.floats import check_float_unary
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.ops.tanh import Tanh


@thorough
@given(scales, zero_points, scales, zero_points)
def test_every_value(x_scale, x_zero, y_scale, y_zero):
    check_unary("TANH", (x_scale, x_zero), (y_scale, y_zero))


def test_floats():
    check_float_unary(Tanh())

"""LOG against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from tests.ops.elementwise import compare_floats
from tests.ops.floats import check_float_unary, normal
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.ops.log import Log


@thorough
@given(scales, zero_points, scales, zero_points)
def test_every_value(x_scale, x_zero, y_scale, y_zero):
    check_unary("LOG", (x_scale, x_zero), (y_scale, y_zero))


def test_floats():
    x = np.abs(normal(3, 50)) + np.float32(0.01)
    check_float_unary(Log(), x)
    compare_floats("LOG", x)

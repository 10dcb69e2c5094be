"""ABS against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from tests.ops.elementwise import compare, compare_floats
from tests.ops.floats import check_float_unary, normal
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.ops.abs import Abs


@thorough
@given(scales, zero_points, scales, zero_points)
def test_every_value(x_scale, x_zero, y_scale, y_zero):
    check_unary("ABS", (x_scale, x_zero), (y_scale, y_zero))


def test_floats():
    x = normal(3, 50)
    check_float_unary(Abs(), x)
    compare_floats("ABS", x)


def test_integers():
    compare("ABS", [np.arange(-20, 20, dtype=np.int32)])

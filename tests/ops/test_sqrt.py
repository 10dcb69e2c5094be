"""SQRT against LiteRT, which stops at negative numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from tests.ops.elementwise import compare, compare_floats
from tests.ops.floats import check_float_unary, normal
from tests.ops.oracle import all_values, only_site, scales, thorough, zero_points
from tinycompile.ops.sqrt import Sqrt


@thorough
@given(scales, zero_points, scales, zero_points)
def test_every_value(x_scale, x_zero, y_scale, y_zero):
    values = np.maximum(all_values(), np.int8(x_zero))
    site = only_site(compare("SQRT", [values], [(x_scale, x_zero), (y_scale, y_zero)]))
    op = site.node.op
    assert isinstance(op, Sqrt)
    table = op.table(site.sig)
    assert np.all(table[np.arange(-128, x_zero).astype(np.int8).view(np.uint8)] == table[np.uint8(x_zero & 255)])


def test_floats():
    x = np.abs(normal(3, 50)) + np.float32(0.01)
    check_float_unary(Sqrt(), x)
    compare_floats("SQRT", x)

"""RSQRT against LiteRT, which stops at negative numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from tests.ops.elementwise import compare, compare_floats
from tests.ops.floats import check_float_unary, normal
from tests.ops.oracle import all_values, only_site, scales, thorough, zero_points
from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.rsqrt import Rsqrt


@thorough
@given(scales, zero_points, scales, zero_points)
def test_every_value(x_scale, x_zero, y_scale, y_zero):
    values = np.maximum(all_values(), np.int8(x_zero))
    site = only_site(compare("RSQRT", [values], [(x_scale, x_zero), (y_scale, y_zero)]))
    op = site.node.op
    assert isinstance(op, Rsqrt)
    table = op.table(site.sig)
    assert np.all(table[np.arange(-128, x_zero).astype(np.int8).view(np.uint8)] == table[np.uint8(x_zero & 255)])


def test_floats():
    x = np.abs(normal(3, 50)) + np.float32(0.01)
    check_float_unary(Rsqrt(), x)
    compare_floats("RSQRT", x)


def test_refuses_scales_that_leave_the_shifts_of_the_rule():
    for scale in (1e-30, 1e6):
        x, y = (TensorType((4,), INT8, Quantization.per_tensor(s, 0)) for s in (1.0, scale))
        assert "factor" in str(Rsqrt().unsupported(Signature((x,), (y,)))) or scale > 1
        assert Rsqrt().unsupported(Signature((x,), (y,))) is not None

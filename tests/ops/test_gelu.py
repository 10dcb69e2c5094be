"""GELU against LiteRT, both forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.elementwise import compare_floats
from tests.ops.floats import check_float_unary, normal
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.ops.gelu import Gelu


@thorough
@given(scales, zero_points, scales, zero_points, st.booleans())
def test_every_value(x_scale, x_zero, y_scale, y_zero, approximate):
    check_unary("GELU", (x_scale, x_zero), (y_scale, y_zero), Approximate=approximate)


@pytest.mark.parametrize("approximate", [False, True])
def test_floats(approximate):
    check_float_unary(Gelu(approximate), normal(3, 50))
    compare_floats("GELU", normal(3, 50), Approximate=approximate)

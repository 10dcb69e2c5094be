"""RELU, RELU6 and RELU_N1_TO_1 as operators of their own, against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float_unary
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.ops.relu import Relu

kinds = st.sampled_from(["RELU", "RELU6", "RELU_N1_TO_1"])


@thorough
@given(kinds, scales, zero_points, scales, zero_points)
def test_every_value(kind, x_scale, x_zero, y_scale, y_zero):
    check_unary(kind, (x_scale, x_zero), (y_scale, y_zero))


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_extreme_factors(kind):
    check_unary(kind, (1.0, 3), (1e-4, -3))
    check_unary(kind, (1e-6, 3), (1.0, -3))


def test_floats():
    check_float_unary(Relu())

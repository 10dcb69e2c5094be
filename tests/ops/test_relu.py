"""RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1 as operators of their own, against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.elementwise import compare_floats
from tests.ops.floats import check_float_unary, normal
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.ops.relu import Relu

KINDS = ["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"]


@thorough
@given(st.sampled_from(KINDS), scales, zero_points, scales, zero_points)
def test_every_value(kind, x_scale, x_zero, y_scale, y_zero):
    check_unary(kind, (x_scale, x_zero), (y_scale, y_zero))


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_factors(kind):
    check_unary(kind, (1.0, 3), (1e-4, -3))
    check_unary(kind, (1e-6, 3), (1.0, -3))


def test_floats():
    check_float_unary(Relu())


@pytest.mark.parametrize("kind", KINDS)
def test_floats_against_litert(kind):
    compare_floats(kind, 3 * normal(100))

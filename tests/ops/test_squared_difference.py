"""SQUARED_DIFFERENCE against LiteRT."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.ops.elementwise import compare_pairs, every_pair
from tests.ops.floats import check_float_binary
from tests.ops.oracle import scales, thorough, zero_points
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.squared_difference import SquaredDifference


@thorough
@given(st.tuples(scales, zero_points), st.tuples(scales, zero_points), st.floats(0.001, 2), zero_points)
def test_every_pair(first, second, ratio, y_zero):
    largest = max(first[0], second[0])
    every_pair("SQUARED_DIFFERENCE", [first, second, (255 * largest * largest * ratio, y_zero)])
    every_pair("SQUARED_DIFFERENCE", [first, (first[0], second[1]), (255 * first[0] ** 2 * ratio, y_zero)])


def test_refuses_scales_that_litert_refuses():
    types = int8((4,), 1.0), int8((4,), 1.0)
    assert "too small" in str(SquaredDifference().unsupported(Signature(types, (int8((4,), 1e-5),))))


def test_numbers():
    check_float_binary(SquaredDifference())
    compare_pairs("SQUARED_DIFFERENCE", "float32", -3, 3, tolerance=1e-6)
    compare_pairs("SQUARED_DIFFERENCE", "int32", -1000, 1000)

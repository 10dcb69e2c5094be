"""LESS against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.comparisons import check_comparison
from tests.ops.elementwise import compare_pairs
from tests.ops.oracle import thorough, zero_points

scales = st.floats(2.0**-12, 1, width=32, exclude_max=True)


@thorough
@given(st.tuples(scales, zero_points), st.tuples(scales, zero_points))
def test_every_pair(first, second):
    check_comparison("LESS", first, second)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "int16"])
def test_numbers(dtype):
    compare_pairs("LESS", dtype, -2, 3, "bool")

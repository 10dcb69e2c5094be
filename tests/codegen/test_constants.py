"""Constant arrays survive the way through C text."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinycompile.codegen.constants import c_scalar, c_values, needs_math
from tinycompile.kernels.base import structured


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float_literals_read_back_exactly(value: float) -> None:
    literal = c_scalar(np.float32(value))
    assert literal.endswith("f")
    assert np.float32(literal.removesuffix("f")).tobytes() == np.float32(value).tobytes()


def test_what_has_no_literal_is_a_macro_of_math_h() -> None:
    values = np.array([np.inf, -np.inf, np.nan, 1], np.float32)
    assert c_values(values) == "    INFINITY, -INFINITY, NAN, 1.e+00f\n"
    assert needs_math(values)
    assert not needs_math(values[3:])
    assert not needs_math(np.zeros(3, np.int8))


def test_smallest_integers_avoid_the_literal_that_c_reads_as_unsigned() -> None:
    assert c_scalar(np.int32(-(2**31))) == "(-2147483647 - 1)"
    assert c_scalar(np.int64(-(2**63))) == "(-9223372036854775807ll - 1)"
    assert c_scalar(np.uint32(2**32 - 1)) == "4294967295u"


def test_structs_are_one_row_each() -> None:
    rows = structured(bias=np.array([1, -2], np.int32), multiplier=np.array([3, 4], np.int32), s=np.zeros(2, np.int8))
    assert c_values(rows) == "    {1, 3, 0},\n    {-2, 4, 0},\n"

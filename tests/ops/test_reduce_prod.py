"""REDUCE_PROD against LiteRT; floats against NumPy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float_reduction
from tests.ops.oracle import quick, seeds, thorough, zero_points
from tests.ops.reductions import check_reduction
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.reduce_prod import ReduceProd

near_one = st.floats(2.0**-8, 0.5, width=32)


@thorough
@given(near_one, zero_points, near_one, zero_points, seeds)
def test_int8(x_scale, x_zero, y_scale, y_zero, seed):
    check_reduction("REDUCE_PROD", seed, ((x_scale, x_zero), (y_scale, y_zero)))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@quick
@given(seeds)
def test_other_integers(dtype, seed):
    check_reduction("REDUCE_PROD", seed, dtype=dtype)


def test_a_factor_without_a_rule():
    sig = Signature((int8((2, 3), 1000.0),), (int8((2,), 0.001),))
    assert "requantisation factor" in str(ReduceProd((1,), False).unsupported(sig))


def test_floats():
    check_float_reduction(ReduceProd)

"""REDUCE_MAX against LiteRT; floats against NumPy."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.ops.floats import check_float_reduction
from tests.ops.oracle import quick, scales, seeds, thorough, zero_points
from tests.ops.reductions import check_reduction
from tests.support.kernel_checks import int8
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.reduce_max import ReduceMax


@thorough
@given(scales, zero_points, seeds)
def test_int8(scale, zero_point, seed):
    check_reduction("REDUCE_MAX", seed, ((scale, zero_point), (scale, zero_point)))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
@quick
@given(seeds)
def test_other_integers(dtype, seed):
    quants = ((0.5, 0), (0.5, 0)) if dtype in ("uint8", "int16") else None
    check_reduction("REDUCE_MAX", seed, quants, dtype)


def test_another_output_scale():
    """LiteRT loads it and fails when it runs."""
    sig = Signature((int8((2, 3), 0.1, 3),), (int8((2,), 0.2, 3),))
    assert "does not rescale" in str(ReduceMax((1,), False).unsupported(sig))


def test_floats():
    check_float_reduction(ReduceMax)


def test_axes():
    with pytest.raises(ValueError, match="axes"):
        ReduceMax((2,), keep_dims=True).infer([TensorType((3, 4), FLOAT32)])

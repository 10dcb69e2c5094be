"""Maxima over axes, of floats."""

from __future__ import annotations

import pytest

from tests.ops.floats import check_float_reduction
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.ops.reduce_max import ReduceMax


def test_floats():
    check_float_reduction(ReduceMax)


def test_axes():
    with pytest.raises(ValueError, match="axes"):
        ReduceMax((2,), keep_dims=True).infer([TensorType((3, 4), FLOAT32)])

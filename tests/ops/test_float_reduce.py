"""Reductions of floats."""

from __future__ import annotations

import pytest

from tests.ops.floats import check_float, normal
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.kernels.float_ops import reduce
from tinycompile.ops.float_reduce import FUNCTIONS, FloatReduce


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 3), (0, 1, 2, 3)])
def test_reductions(function, axes):
    check_float(reduce, FloatReduce(function, axes), [normal(2, 3, 4, 5)])


def test_axes():
    with pytest.raises(ValueError, match="axes"):
        FloatReduce("mean", (2,)).infer([TensorType((3, 4), FLOAT32)])

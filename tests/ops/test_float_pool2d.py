"""Pooling of floats."""

from __future__ import annotations

import pytest

from tests.ops.floats import check_float, normal
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.kernels.float_ops import pool2d
from tinycompile.ops.float_pool2d import FloatPool2D


@pytest.mark.parametrize("function", ["max", "average"])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("count", [(0, 0, 0, 0), (1, 1, 0, 1)])
def test_pooling(function, dilation, count):
    op = FloatPool2D(function, (2, 3), (2, 1), dilation, (1, 1, 0, 1), count)
    check_float(pool2d, op, [normal(2, 3, 7, 6)])


def test_rank():
    op = FloatPool2D("max", (2, 2), (1, 1), (1, 1), (0, 0, 0, 0))
    with pytest.raises(ValueError, match="4-D"):
        op.infer([TensorType((3, 4), FLOAT32)])

"""Convolution of floats."""

from __future__ import annotations

import pytest

from tests.ops.floats import check_float, normal
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.kernels.float_ops import conv2d
from tinycompile.ops.float_conv2d import FloatConv2D


@pytest.mark.parametrize(("groups", "outputs"), [(1, 5), (2, 4), (4, 4), (4, 8)])
@pytest.mark.parametrize("op", [FloatConv2D(), FloatConv2D((2, 1), (1, 2), (1, 0, 2, 1))])
def test_convolution(groups, outputs, op):
    weights = normal(outputs, 4 // groups, 3, 2, seed=1)
    check_float(conv2d, op, [normal(2, 4, 7, 6), weights, normal(outputs, seed=2)], constants=(1, 2))
    check_float(conv2d, op, [normal(2, 4, 7, 6), weights], constants=(1,))


def test_weights_that_do_not_fit():
    with pytest.raises(ValueError, match="don't fit"):
        FloatConv2D().infer([TensorType((1, 4, 5, 5), FLOAT32), TensorType((4, 3, 1, 1), FLOAT32)])

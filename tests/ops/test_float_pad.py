"""Padding of floats."""

from __future__ import annotations

import pytest

from tests.ops.floats import check_float, normal
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.kernels.float_ops import pad
from tinycompile.ops.float_pad import FloatPad


@pytest.mark.parametrize("amounts", [((1, 2), (0, 3), (2, 0)), ((0, 0), (0, 0), (0, 0))])
def test_padding(amounts):
    check_float(pad, FloatPad(amounts, -1.5), [normal(2, 3, 4)])


def test_amounts():
    with pytest.raises(ValueError, match="pad"):
        FloatPad(((1, -1),), 0.0).infer([TensorType((3,), FLOAT32)])

"""Functions of one float."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.floats import check_float, normal
from tinycompile.dtypes import INT8
from tinycompile.ir import Signature, TensorType
from tinycompile.kernels.float_ops import unary
from tinycompile.ops.float_unary import FUNCTIONS, FloatUnary


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function(function):
    x = np.abs(normal(3, 50)) + 0.1 if function in ("log", "sqrt") else normal(3, 50)
    check_float(unary, FloatUnary(function, 0.4, 1.3), [x])


def test_only_floats():
    t = TensorType((3,), INT8)
    assert "float32" in str(FloatUnary("relu").unsupported(Signature((t,), (t,))))

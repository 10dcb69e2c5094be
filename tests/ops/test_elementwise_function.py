"""Functions of one float."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.elementwise import compare_floats
from tests.ops.floats import check_float_unary, normal
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Signature, TensorType
from tinycompile.ops import all_ops
from tinycompile.ops.elementwise_function import FUNCTIONS, ElementwiseFunction


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function(function):
    x = np.abs(normal(3, 50)) + 0.1 if function in ("log", "sqrt") else normal(3, 50)
    check_float_unary(ElementwiseFunction(function, 0.4, 1.3), x)


def test_only_floats():
    t = TensorType((3,), INT8)
    assert "float32" in str(ElementwiseFunction("floor").unsupported(Signature((t,), (t,))))


def test_unknown_function():
    t = TensorType((3,), FLOAT32)
    assert "unknown" in str(ElementwiseFunction("atan2").unsupported(Signature((t,), (t,))))


def test_no_operator_of_its_own_is_here_as_well():
    assert not set(FUNCTIONS) & set(all_ops())


@pytest.mark.parametrize("kind", "CEIL COS FLOOR ROUND SIN SQUARE".split())
def test_against_litert(kind):
    halves = np.arange(-8, 9, dtype=np.float32) / 2
    compare_floats(kind, np.concatenate([halves, normal(50)]))

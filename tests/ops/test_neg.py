"""NEG against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.elementwise import compare, compare_floats
from tests.ops.floats import check_float_unary, normal
from tests.ops.unary import check_unary
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.neg import Neg


def test_every_value():
    check_unary("NEG", (0.1, 0), (0.1, 0))


@pytest.mark.parametrize("x, y, why", [((0.1, 3), (0.1, 3), "zero point"), ((0.1, 0), (0.2, 0), "scale")])
def test_refuses_what_litert_computes_wrongly(x, y, why):
    assert why in str(Neg().unsupported(Signature((int8((4,), *x),), (int8((4,), *y),))))


def test_floats():
    check_float_unary(Neg(), normal(3, 50))
    compare_floats("NEG", normal(3, 50))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(dtype):
    compare("NEG", [np.array([np.iinfo(dtype).min, -7, 0, 5, np.iinfo(dtype).max], dtype)])

"""SIGN against LiteRT."""

from __future__ import annotations

import numpy as np

from tests.ops.elementwise import compare, compare_floats
from tests.ops.floats import check_float_unary, normal
from tinycompile.ops.sign import Sign


def test_floats():
    x = np.append(normal(49), np.float32(0))
    check_float_unary(Sign(), x)
    compare_floats("SIGN", x)


def test_integers():
    compare("SIGN", [np.arange(-20, 20, dtype=np.int32)])

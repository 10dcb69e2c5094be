"""ATAN2 against LiteRT."""

from __future__ import annotations

import numpy as np

from tests.ops.elementwise import compare
from tests.ops.floats import check_float_binary, normal
from tinycompile.ops.atan2 import Atan2


def test_floats():
    check_float_binary(Atan2())
    a, b = normal(2, 3, 4), normal(2, 3, 4, seed=1)
    compare("ATAN2", [a, b], tolerance=1e-6)  # it doesn't broadcast


def test_axes_and_the_origin():
    values = np.array([-np.inf, -1, -0.0, 0.0, 1, np.inf], np.float32)
    compare("ATAN2", list(np.meshgrid(values, values)), tolerance=1e-6)

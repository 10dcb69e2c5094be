"""Functions of two floats."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.floats import check_float, normal
from tinycompile.kernels.float_ops import binary
from tinycompile.ops.float_binary import FUNCTIONS, FloatBinary


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((4,), (2, 1, 4)), ((1,), (5,))])
def test_every_function(function, shapes):
    a, b = normal(*shapes[0], seed=1), normal(*shapes[1], seed=2)
    a = np.abs(a) if function == "pow" else a
    check_float(binary, FloatBinary(function), [a, b])
    check_float(binary, FloatBinary(function), [a, b], constants=(1,))

"""Concatenation of floats."""

from __future__ import annotations

import pytest

from tests.ops.floats import check_float, normal
from tinycompile.kernels.float_ops import concatenation
from tinycompile.ops.float_concatenation import FloatConcatenation


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_concatenation(axis, constants):
    parts = [normal(*(n if i == axis else size for i, size in enumerate((2, 3, 4))), seed=n) for n in (1, 2, 3)]
    check_float(concatenation, FloatConcatenation(axis), parts, constants)

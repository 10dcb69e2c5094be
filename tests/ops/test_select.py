"""SELECT and SELECT_V2 against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.elementwise import compare

TYPES = ["int8", "float32", "int32", "int64", "bool", "int16"]


def operands(dtype, condition, first, second):
    rng = np.random.default_rng(0)
    values = [rng.integers(-100, 100, shape).astype(dtype) for shape in (first, second)]
    return [rng.random(condition) < 0.5, *values]


def quants(dtype):
    return [None, *[(0.1, 3), (0.2, -4), (0.3, 5)]] if dtype == "int8" else []


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("condition", [(2, 3, 4), (), (2,)])
def test_select(dtype, condition):
    given = operands(dtype, condition, (2, 3, 4), (2, 3, 4))
    if condition == (2,):
        given[0] = given[0].reshape(2)
        compare_rows(given, quants(dtype))
    else:
        compare("SELECT", given, quants(dtype), dtype)


def compare_rows(given, quants):
    """The condition's only axis is the others' first one, as no broadcasting of NumPy has it."""
    condition, x, y = given
    wide = np.broadcast_to(condition.reshape(2, 1, 1), x.shape).copy()
    compare("SELECT", [wide, x, y], quants, x.dtype.name)
    compare("SELECT", [condition, x, y], quants, x.dtype.name, shape=x.shape)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 3, 4), (2, 3, 4)), ((3, 1), (2, 3, 4), (4,)), ((4,), (1,), (3, 1))])
def test_select_v2(dtype, shapes):
    compare("SELECT_V2", operands(dtype, *shapes), quants(dtype), dtype)

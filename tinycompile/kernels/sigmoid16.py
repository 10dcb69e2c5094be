"""The table of the int16 sigmoid (`tc_sigmoid16.h`)."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.base import Constant
from tinycompile.numerics.fixed_point_int16 import two_over_one_plus_exp

_NEIGHBOURS, _BITS = 8, 4


@cache
def _table() -> tuple[Array, Array]:
    """(low, rest): 2 / (1 + exp(-u)) for u in [0, 8], the last of which has neighbours of its own."""
    wanted = two_over_one_plus_exp(np.minimum(np.arange(32768 + _NEIGHBOURS), 32768), 3)
    wanted[0] = 8192  # what both functions make of 0 is exact
    groups = wanted.reshape(-1, _NEIGHBOURS)
    low = groups.min(axis=1)
    above = groups - low[:, None]
    if above.max() >= 1 << _BITS:
        raise ArithmeticError("neighbours differ by more than 4 bits hold")
    places = _BITS * np.arange(_NEIGHBOURS, dtype=np.uint32)
    words = (np.roll(above, -1, axis=1).astype(np.uint32) << places).sum(axis=1, dtype=np.uint32)
    return low.astype(np.int16), words


def table_constants() -> tuple[Constant, Constant]:
    """In the order in which `tc_sigmoid16_table` has them."""
    low, rest = _table()
    return (
        Constant("low", "int16_t", low, "2 / (1 + exp(-u)): the smallest of 8 neighbours", of_shapes=True),
        Constant("rest", "uint32_t", rest, "and what each of them lies above it, in 4 bits", of_shapes=True),
    )

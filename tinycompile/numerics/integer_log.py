"""Logarithms of integers by a table, as TFLM's signal operators compute them."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinycompile.dtypes import Array

PIECES_LOG2 = 7
"""Of a power of two, in which the logarithm is a line."""

LN2 = 45426
"""The natural logarithm of 2, 16 bits after the binary point."""


@cache
def table() -> Array:
    """How far log2(1 + x) is above x at the ends of 128 pieces of [0, 1], 16 bits after the binary point; int64."""
    x = np.arange((1 << PIECES_LOG2) + 1) / (1 << PIECES_LOG2)
    return np.floor((np.log2(1 + x) - x) * 65536 + 0.5).astype(np.int64)


def scaled_log(x: Array, scale: int) -> Array:
    """`scale` times the natural logarithm of numbers of 32 bits, int64; 0 for 0 and 1.

    Args:
        x: int64, any shape. scale: of 31 bits; products of it wrap at 32.
    """
    safe = np.maximum(x, 1)
    whole = np.frexp(safe.astype(np.float64))[1].astype(np.int64) - 1
    above = safe - (np.int64(1) << whole)
    part = np.where(whole < 16, above << np.maximum(16 - whole, 0), above >> np.maximum(whole - 16, 0))
    piece, rest = part >> 16 - PIECES_LOG2, part & ((1 << 16 - PIECES_LOG2) - 1)
    ends = np.append(table(), 0)
    low, high = ends[piece], ends[piece + 1]
    log2 = (whole << 16) + part + low + (((high - low) * rest) >> 16)
    natural = (LN2 * log2 + (1 << 15)) >> 16
    return np.where(x > 1, ((scale * natural + (1 << 15)) & 0xFFFFFFFF) >> 16, 0)

"""Operators by TFLM's rule where LiteRT has no kernel that is right (docs/numerics.md), in Python's own integers.

Written apart from `tinycompile.ops`, so that what is wrong there isn't wrong here.
"""

from __future__ import annotations

from math import frexp, sqrt

import numpy as np

from tinycompile.ir import Array

_FRACTION_BITS = 20


def rsqrt(x: Array, x_scale: float, y_scale: float) -> Array:
    """1 / sqrt(x), int16 to int16 with the zero point 0 (`RsqrtEvalQuantized` of tflite-micro): the largest output for
    what isn't positive.
    """
    mantissa, shift = frexp(1 / (sqrt(x_scale) * y_scale))
    multiplier = int(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    found = {int(v): _rsqrt(int(v), multiplier, shift) for v in np.unique(x)}
    return np.array([found[int(v)] for v in x.ravel()], np.int16).reshape(x.shape)


def _rsqrt(value: int, multiplier: int, shift: int) -> int:
    if value <= 0:
        return 32767
    root, root_shift = _inverse_root(value)
    data = _scaled(1, root, root_shift + _FRACTION_BITS)
    return max(-32768, min(32767, _scaled(data, multiplier, shift - _FRACTION_BITS)))


def _inverse_root(value: int) -> tuple[int, int]:
    """(multiplier, shift) of multiplier * 2^(shift - 31): five steps of Newton's method with three integer bits."""
    if value == 1:
        return 2**31 - 1, 0
    shift = 11
    while value < 1 << 27:
        value, shift = value * 4, shift - 1
    half = ((value >> 1) + 1) >> 1
    root = 1 << 28
    for _ in range(5):
        cube = _high(_high(root, root), root) << 6
        root = (_high(3 << 27, root) - _high(half, cube)) << 3
    root = _high(root, 1518500250)  # times half the square root of 2
    return (root << -shift, 0) if shift < 0 else (root, -shift)


def _high(a: int, b: int) -> int:
    """round(a * b / 2^31), halves upwards."""
    return (a * b + (1 << 30)) >> 31


def _scaled(value: int, multiplier: int, shift: int) -> int:
    """value * multiplier * 2^(shift - 31), rounded twice; a number of 32 bits that is shifted to the left wraps."""
    wrapped = ((value << max(shift, 0)) + 2**31) % 2**32 - 2**31
    high, right = _high(wrapped, multiplier), max(-shift, 0)
    return high if right == 0 else (high + (1 << (right - 1)) - (high < 0)) >> right

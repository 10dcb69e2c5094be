"""The sigmoid and the hyperbolic tangent of LiteRT's integer LSTM, bit for bit: gemmlowp's fixed point in int16.

A fixed-point number with m integer bits ("Qm", `gemmlowp::FixedPoint<int16_t, m>`) stands for raw / 2^(15 - m).

Source: gemmlowp `fixedpoint/fixedpoint.h`, as `PortableApplySigmoid` and `PortableApplyTanh` use it
(`kernels/internal/reference/portable_tensor_utils.cc`).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tinycompile.numerics.fixed_point import Int64Array, IntegerArray, rounding_divide_by_pot

ONE = 32767
"""1 as Q0, which is the largest number."""

ONE_HALF = 16384
_EXP_OF_MINUS_EIGHTH, _ONE_THIRD = 28918, 10923
_FORTY_EIGHT_OVER_17, _NEG_32_OVER_17, _ONE_IN_Q2 = 23130, -15420, 8192

_EXP_OF_MINUS_POWER_OF_TWO = (25520, 19875, 12055, 4435, 600, 11, 0)
"""exp(-2^e) as Q0 for e = -2..4."""

MAX_INTEGER_BITS = 6
"""Of the hyperbolic tangent's argument: gemmlowp's exponential has no more."""


def _product(a: IntegerArray, b: IntegerArray | int) -> Int64Array:
    """`SaturatingRoundingDoublingHighMul`: round(a * b / 2^15), halves upwards."""
    return np.minimum((a.astype(np.int64) * np.asarray(b, np.int64) + (1 << 14)) >> 15, ONE)


def _exp(a: Int64Array, integer_bits: int) -> Int64Array:
    """exp(a) for a <= 0: Q`integer_bits` to Q0 (`exp_on_negative_values`)."""
    first = 13 - integer_bits
    one_quarter = 1 << first
    a_mod_quarter = (a & (one_quarter - 1)) - one_quarter
    x = (a_mod_quarter << integer_bits) + (1 << 12)
    x2 = _product(x, x)
    x3 = _product(x2, x)
    x4_over_4 = rounding_divide_by_pot(_product(x2, x2), 2)
    tail = rounding_divide_by_pot(_product(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    result = _EXP_OF_MINUS_EIGHTH + _product(x + tail, _EXP_OF_MINUS_EIGHTH)
    remainder = a_mod_quarter - a
    for bit, factor in enumerate(_EXP_OF_MINUS_POWER_OF_TWO[: integer_bits + 2], start=first):
        result = np.where(remainder & (1 << bit), _product(result, factor), result)
    result = np.where(a < -(32 << (15 - integer_bits)), 0, result)
    return np.where(a == 0, ONE, result)


def two_over_one_plus_exp(u: IntegerArray, integer_bits: int) -> Int64Array:
    """2 / (1 + exp(-u)) for u >= 0: Q`integer_bits` to Q2, by three Newton-Raphson steps: all that both functions need.

    Args:
        u: up to 32768, which stands for the negative number without a positive counterpart.
    """
    half_denominator = (_exp(-u.astype(np.int64), integer_bits) + ONE + 1) >> 1
    x = _FORTY_EIGHT_OVER_17 + _product(half_denominator, _NEG_32_OVER_17)
    for _ in range(3):
        error = _ONE_IN_Q2 - _product(half_denominator, x)
        x = x + np.clip(_product(x, error) << 2, -32768, 32767)
    return x


@cache
def _logistic() -> IntegerArray:
    x = np.arange(-32768, 32768)
    positive = np.minimum(two_over_one_plus_exp(np.abs(x), 3) << 1, ONE)
    return np.where(x > 0, positive, np.where(x < 0, ONE - positive, ONE_HALF)).astype(np.int16)


@cache
def _tanh(integer_bits: int) -> IntegerArray:
    x = np.arange(-32768, 32768)
    size = np.minimum((two_over_one_plus_exp(np.abs(x), integer_bits + 1) - _ONE_IN_Q2) << 2, ONE)
    return np.where(x == 0, 0, np.sign(x) * size).astype(np.int16)


def logistic(x: IntegerArray) -> IntegerArray:
    """int16 Q3 to int16 Q0 (`gemmlowp::logistic`)."""
    return _logistic()[x.astype(np.int64) + 32768]


def tanh(x: IntegerArray, integer_bits: int) -> IntegerArray:
    """int16 Q`integer_bits` to int16 Q0 (`gemmlowp::tanh`)."""
    return _tanh(integer_bits)[x.astype(np.int64) + 32768]

"""The logarithm in TFLite's fixed point, which LOG_SOFTMAX needs (`kernels/internal/common.h`)."""

from __future__ import annotations

import numpy as np

from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Int64Array,
    IntegerArray,
    count_leading_zeros,
    one_over_one_plus_x_for_x_in_0_1,
    rounding_divide_by_pot,
    rounding_half_sum,
)
from tinycompile.numerics.fixed_point import saturating_rounding_doubling_high_mul as mul

INPUT_BITS, OUTPUT_BITS = 12, 5
_ACCUMULATOR_BITS = OUTPUT_BITS + 1
_QUARTER = 1 << (29 - _ACCUMULATOR_BITS)
# As numbers without integer bits; f is the fourth root of 2.
_LOG_2, _ROOT_OF_HALF, _ROOT_OF_ROOT_OF_HALF = 1488522236, 1518500250, 1805811301
_NUMERATOR = 117049297  # 11 / 240 * f
_DENOMINATOR_SQUARE = 127690142  # f / 20
_DENOMINATOR_START = 1057819769  # 2 / f - f
_DENOMINATOR_SLOPE = 638450708  # f / 4


def logarithm_from_1(x: IntegerArray) -> Int64Array:
    """log(x) for x >= 1: Q12 to Q5 (`log_x_for_x_greater_than_or_equal_to_1`).

    x is r * 2^n with r around sqrt(sqrt(1/2)), of two choices the nearer one; log(r) is a quotient of polynomials.
    """
    z = x.astype(np.int64)
    zeros = count_leading_zeros(z)
    r_a = _scaled(mul(_scaled(z, zeros - 1), _ROOT_OF_HALF), 1)
    exponent_a = _saturated(((INPUT_BITS - zeros) << (31 - _ACCUMULATOR_BITS)) + _QUARTER)
    headroom = count_leading_zeros(mul(z, _ROOT_OF_HALF)) - 1
    r_b = _scaled(z, headroom)
    exponent_b = _saturated(((INPUT_BITS - headroom) << (31 - _ACCUMULATOR_BITS)) - _QUARTER)
    r, exponent = np.minimum(r_a, r_b), np.maximum(exponent_a, exponent_b)
    p, q = rounding_half_sum(r, _ROOT_OF_ROOT_OF_HALF), 2 * (r - _ROOT_OF_ROOT_OF_HALF)
    square = mul(q, q)
    numerator = mul(q, r) + mul(mul(q, square), _NUMERATOR)
    slope = _DENOMINATOR_START + q + mul(square, _DENOMINATOR_SQUARE)
    reciprocal = one_over_one_plus_x_for_x_in_0_1(mul(p, slope) + mul(q, _DENOMINATOR_SLOPE))
    fraction = mul(rounding_divide_by_pot(numerator, _ACCUMULATOR_BITS), reciprocal)
    return _saturated(2 * (mul(exponent, _LOG_2) + fraction))


def _scaled(x: Int64Array, exponent: Int64Array | int) -> Int64Array:
    return _saturated(x << exponent)


def _saturated(x: Int64Array) -> Int64Array:
    return np.clip(x, INT32_MIN, INT32_MAX)

"""TFLite's fixed-point primitives, bit for bit, on NumPy arrays.

Every function takes and returns int64 arrays whose values are the int32 values of the C++ original; shapes
broadcast, so per-channel parameters of shape (C,) meet activations of shape (..., C). A fixed-point
number with m integer bits ("Qm" below, `gemmlowp::FixedPoint<int32_t, m>`) stands for raw / 2^(31 - m).

Sources: gemmlowp `fixedpoint/fixedpoint.h`; TensorFlow Lite `kernels/internal/common.h` and
`kernels/internal/quantization_util.cc`, in their default build (double rounding, no
`TFLITE_SINGLE_ROUNDING`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]
IntegerArray = NDArray[np.signedinteger[Any]]

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1

# exp(-2^e) as Q0 for e = -2..4 (`GEMMLOWP_EXP_BARREL_SHIFTER`).
_EXP_OF_MINUS_POWER_OF_TWO = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def wrap_int32(x: Int64Array) -> Int64Array:
    """The value of an int32 register after two's complement arithmetic gave `x`."""
    return ((x + 2**31) & 0xFFFFFFFF) - 2**31


MAX_SHIFT = 30
"""The largest left shift for which `1 << shift` is an int32."""


def quantize_multiplier(real: Float64Array, max_shift: int = MAX_SHIFT) -> tuple[Int32Array, Int32Array]:
    """`QuantizeMultiplier` (quantization_util.cc): real ~ multiplier * 2^(shift - 31).

    The multiplier is 0 or in [2^30, 2^31). Factors below 2^-32 flush to zero.

    Raises:
        ValueError: a factor is negative or not finite, or its shift is larger than `max_shift`: the reference's
            `1 << shift` is then undefined in C++, and x86 and Arm disagree on it.
    """
    real = np.asarray(real, np.float64)
    if not np.all(np.isfinite(real)) or np.any(real < 0):
        raise ValueError("a requantisation factor must be finite and not negative")
    fraction, exponent = np.frexp(real)
    # llround: far below 2^52, adding 0.5 carries into the integer part only where it should.
    fixed = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carry = fixed == 2**31
    multiplier = np.where(carry, 2**30, fixed)
    shift = exponent.astype(np.int64) + carry
    if np.any(shift > max_shift):
        raise ValueError(
            f"a requantisation factor of {np.max(real):.6g}; from 2^{max_shift} on there is no rule for it"
        )
    flushed = shift < -31
    return np.where(flushed, 0, multiplier).astype(np.int32), np.where(flushed, 0, shift).astype(np.int32)


def saturating_rounding_doubling_high_mul(a: IntegerArray, b: IntegerArray | int) -> Int64Array:
    """`SaturatingRoundingDoublingHighMul` (gemmlowp): round(a * b / 2^31), halves upwards.

    The original adds a nudge that depends on the sign and divides towards zero; both together are one
    floor division of a * b + 2^30.
    """
    product = a.astype(np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + 2**30) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: IntegerArray, exponent: IntegerArray | int) -> Int64Array:
    """`RoundingDivideByPOT` (gemmlowp): x / 2^exponent, halves away from zero; 0 <= exponent <= 31."""
    x = x.astype(np.int64)
    exponent = np.asarray(exponent, np.int64)
    half = (np.int64(1) << exponent) >> 1
    return (x + half - ((x < 0) & (exponent > 0))) >> exponent


def multiply_by_quantized_multiplier(x: IntegerArray, multiplier: IntegerArray, shift: IntegerArray) -> Int64Array:
    """`MultiplyByQuantizedMultiplier` (common.h) with double rounding: x * multiplier * 2^(shift - 31).

    A positive shift is applied first, as an int32 multiplication that may wrap; a negative one last.
    """
    shift = shift.astype(np.int64)
    shifted = wrap_int32(x.astype(np.int64) << np.maximum(shift, 0))
    high = saturating_rounding_doubling_high_mul(shifted, multiplier)
    return rounding_divide_by_pot(high, np.maximum(-shift, 0))


def saturating_left_shift(x: IntegerArray, exponent: int) -> Int64Array:
    """`SaturatingRoundingMultiplyByPOT<exponent>` (gemmlowp) for a positive exponent."""
    return np.clip(x.astype(np.int64) << exponent, INT32_MIN, INT32_MAX)


def rounding_half_sum(a: IntegerArray, b: int) -> Int64Array:
    """`RoundingHalfSum` (gemmlowp): (a + b) / 2, halves away from zero."""
    return rounding_divide_by_pot(a.astype(np.int64) + b, 1)


def exp_on_interval_between_negative_one_quarter_and_0_excl(a: IntegerArray) -> Int64Array:
    """exp(a) for a in [-1/4, 0): Q0 to Q0, a Taylor polynomial of degree 4 around -1/8 (gemmlowp)."""
    mul = saturating_rounding_doubling_high_mul
    exp_of_minus_eighth, one_third = 1895147668, 715827883
    x = a.astype(np.int64) + (1 << 28)
    x2 = mul(x, x)
    x3 = mul(x2, x)
    x4_over_4 = rounding_divide_by_pot(mul(x2, x2), 2)
    tail = rounding_divide_by_pot(mul(x4_over_4 + x3, one_third) + x2, 1)
    return exp_of_minus_eighth + mul(x + tail, exp_of_minus_eighth)


def exp_on_negative_values(a: IntegerArray) -> Int64Array:
    """exp(a) for a <= 0: Q5 to Q0 (gemmlowp `exp_on_negative_values<int32_t, 5>`).

    The exponent is split into a part in [-1/4, 0), for the polynomial, and a sum of powers of two from 1/4
    to 16, for each of which the result is multiplied by a constant.
    """
    a = a.astype(np.int64)
    one_quarter = 1 << 24
    a_mod_quarter = (a & (one_quarter - 1)) - one_quarter
    result = exp_on_interval_between_negative_one_quarter_and_0_excl(saturating_left_shift(a_mod_quarter, 5))
    remainder = a_mod_quarter - a
    for bit, factor in enumerate(_EXP_OF_MINUS_POWER_OF_TWO, start=24):
        scaled = saturating_rounding_doubling_high_mul(result, factor)
        result = np.where(remainder & (1 << bit), scaled, result)
    return np.where(a == 0, INT32_MAX, result)


def one_over_one_plus_x_for_x_in_0_1(a: IntegerArray) -> Int64Array:
    """1 / (1 + a) for a in [0, 1): Q0 to Q0 (gemmlowp)."""
    return saturating_left_shift(_two_over_one_plus(a), 1)


def one_minus_x_over_one_plus_x_for_x_in_0_1(a: IntegerArray) -> Int64Array:
    """(1 - a) / (1 + a) for a in [0, 1]: Q0 to Q0 (gemmlowp)."""
    return saturating_left_shift(_two_over_one_plus(a) - (1 << 29), 2)


def tanh(a: IntegerArray) -> Int64Array:
    """tanh(a): Q4 to Q0 (gemmlowp `tanh<int32_t, 4>`); exp(-2|a|) has the same bits in Q5."""
    a = a.astype(np.int64)
    size = one_minus_x_over_one_plus_x_for_x_in_0_1(exp_on_negative_values(-np.abs(a)))
    return np.where(a == 0, 0, np.where(a < 0, -size, size))


def _two_over_one_plus(a: IntegerArray) -> Int64Array:
    """2 / (1 + a): Q0 to Q2, three Newton-Raphson steps."""
    mul = saturating_rounding_doubling_high_mul
    forty_eight_over_17, neg_32_over_17, one = 1515870810, -1010580540, 1 << 29
    half_denominator = rounding_half_sum(a, INT32_MAX)
    x = forty_eight_over_17 + mul(half_denominator, neg_32_over_17)
    for _ in range(3):
        error = one - mul(half_denominator, x)
        x = x + saturating_left_shift(mul(x, error), 2)
    return x


def count_leading_zeros(x: IntegerArray) -> Int64Array:
    """`CountLeadingZeros<uint32_t>` (common.h) of values in [0, 2^32); 32 for 0."""
    _, bit_length = np.frexp(x.astype(np.float64))
    return 32 - bit_length.astype(np.int64)


def get_reciprocal(x: IntegerArray, x_integer_digits: int) -> tuple[Int64Array, Int64Array]:
    """`GetReciprocal` (common.h): (scale, num_bits_over_unit) with 1 / x ~ scale * 2^-num_bits_over_unit.

    `x` > 0 is a fixed-point number with `x_integer_digits` integer bits; `scale` is Q0 and at least 1/2.
    """
    headroom_plus_one = count_leading_zeros(x)
    shifted_minus_one = (x.astype(np.int64) << headroom_plus_one) - 2**31
    return one_over_one_plus_x_for_x_in_0_1(shifted_minus_one), x_integer_digits - headroom_plus_one


def count_leading_sign_bits(x: IntegerArray) -> Int64Array:
    """`CountLeadingSignBits<int32_t>` (common.h) of values from -2^30 on: how far left they fit; 31 for 0 and -1."""
    wide = x.astype(np.int64)
    return count_leading_zeros(np.where(wide >= 0, wide, -2 * wide - 1)) - (wide >= 0)


def inverse_square_root(x: IntegerArray) -> tuple[Int64Array, Int64Array]:
    """`GetInvSqrtQuantizedMultiplierExp` (common.h) for `kReverseShift`: (multiplier, shift) with
    1 / sqrt(x) ~ multiplier * 2^(shift - 31), of integers 1 <= x < 2^31, by five Newton-Raphson steps in Q3.
    """
    mul = saturating_rounding_doubling_high_mul
    three_halves, one, half_sqrt_2 = 3 << 27, np.int64(1 << 28), 1518500250
    quarters = np.where(x >= 1 << 29, 1, 0)
    fitting = x.astype(np.int64) >> (2 * quarters)
    pairs = (count_leading_zeros(fitting) - 1) // 2 - 1
    value = (fitting << (2 * pairs)) >> 1
    half, root = rounding_divide_by_pot(value, 1), np.full(x.shape, one)
    for _ in range(5):
        cube = saturating_left_shift(mul(mul(root, root), root), 6)
        root = saturating_left_shift(mul(root, three_halves) - mul(half, cube), 3)
    root, shift = mul(root, half_sqrt_2), 11 + quarters - pairs
    root = root << np.maximum(-shift, 0)
    return np.where(x <= 1, INT32_MAX, root), np.where(x <= 1, 0, -np.maximum(shift, 0))

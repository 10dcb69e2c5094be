"""The fixed-point primitives against literal transcriptions of the C++ and values that gemmlowp computed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycompile.numerics import fixed_point as fp

int32 = st.integers(fp.INT32_MIN, fp.INT32_MAX)


def truncating_division(a: int, b: int) -> int:
    return abs(a) // b * (1 if a >= 0 else -1)


def high_mul_in_c(a: int, b: int) -> int:
    if a == b == fp.INT32_MIN:
        return fp.INT32_MAX
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    return truncating_division(a * b + nudge, 1 << 31)


def divide_by_pot_in_c(x: int, exponent: int) -> int:
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def array(*values: int) -> fp.Int64Array:
    return np.array(values, np.int64)


@given(int32, int32)
def test_high_mul_is_the_c_code(a: int, b: int) -> None:
    for x, y in ((a, b), (fp.INT32_MIN, b), (a, fp.INT32_MIN), (fp.INT32_MIN, fp.INT32_MIN)):
        assert fp.saturating_rounding_doubling_high_mul(array(x), array(y)) == high_mul_in_c(x, y)


@given(int32, st.integers(0, 31))
def test_divide_by_pot_is_the_c_code(x: int, exponent: int) -> None:
    half = (x >> exponent << exponent) + (1 << exponent >> 1)
    for value in (x, min(half, fp.INT32_MAX)):
        assert fp.rounding_divide_by_pot(array(value), exponent) == divide_by_pot_in_c(value, exponent)


@given(int32, st.integers(0, fp.INT32_MAX), st.integers(-31, 30))
def test_multiply_by_quantized_multiplier_is_the_c_code(x: int, multiplier: int, shift: int) -> None:
    shifted = (x << max(shift, 0)) & 0xFFFFFFFF
    signed = shifted - (shifted >> 31 << 32)
    expected = divide_by_pot_in_c(high_mul_in_c(signed, multiplier), max(-shift, 0))
    assert fp.multiply_by_quantized_multiplier(array(x), array(multiplier), array(shift)) == expected


def test_parameters_broadcast_over_the_last_axis() -> None:
    x = np.arange(24, dtype=np.int32).reshape(2, 3, 4) * 1000
    multiplier, shift = fp.quantize_multiplier(np.array([0.5, 0.25, 1.5, 1e-3]))
    y = fp.multiply_by_quantized_multiplier(x, multiplier, shift)
    assert y.shape == x.shape
    assert y[1, 2].tolist() == [10000, 5250, 33000, 23]


@given(st.floats(0, 2.0**29))
def test_quantize_multiplier_follows_frexp_and_llround(real: float) -> None:
    fraction, shift = math.frexp(real)
    fixed = math.floor(fraction * 2**31 + 0.5)
    if fixed == 2**31:
        fixed, shift = 2**30, shift + 1
    if shift < -31:
        fixed, shift = 0, 0
    multiplier, exponent = fp.quantize_multiplier(np.array([real]))
    assert (multiplier[0], exponent[0]) == (fixed, shift)
    assert multiplier.dtype == exponent.dtype == np.int32


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (2**30, 0)),
        (1.0, (2**30, 1)),
        (1 - 2.0**-40, (2**30, 1)),  # rounds up to 2^31: the carry
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),  # flushed
        (2.0**30 * (1 - 2.0**-31), (2**31 - 1, 30)),
    ],
)
def test_quantize_multiplier_at_its_edges(real: float, expected: tuple[int, int]) -> None:
    multiplier, shift = fp.quantize_multiplier(np.array([real]))
    assert (multiplier[0], shift[0]) == expected


@pytest.mark.parametrize("real", [2.0**30, 2.0**30 * (1 - 2.0**-40), 2.0**40])
def test_quantize_multiplier_has_no_factor_whose_shift_is_undefined(real: float) -> None:
    with pytest.raises(ValueError, match="no rule"):
        fp.quantize_multiplier(np.array([0.5, real]))
    assert fp.quantize_multiplier(np.array([2.0**30]), 31)[1].tolist() == [31]


@pytest.mark.parametrize("real", [-0.1, math.inf, math.nan])
def test_quantize_multiplier_rejects_what_is_no_factor(real: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        fp.quantize_multiplier(np.array([real]))


# (argument, result) of gemmlowp's fixedpoint.h, compiled with g++ 12.
GEMMLOWP_EXP = [
    (0, 2147483647), (-1, 2147483124), (-2, 2147483093), (-16777215, 1672462444), (-16777216, 1672462419),
    (-16777217, 1672461539), (-33554433, 1302514356), (-67108864, 790015308), (-100000000, 483927985),
    (-268435456, 39332546), (-536870912, 720401), (-1073741824, 242), (-1500000001, 0), (-2147483647, 0),
]  # fmt: skip
GEMMLOWP_ONE_OVER_ONE_PLUS_X = [
    (0, 2147483647), (1, 2147483647), (2, 2147483647), (12345, 2147471304), (1048576, 2146435584),
    (715827883, 1610612732), (1073741824, 1431655762), (1610612736, 1227133516), (2000000000, 1111923858),
    (2147483646, 1073741820), (2147483647, 1073741820),
]  # fmt: skip


def test_exp_is_gemmlowps() -> None:
    argument, result = np.array(GEMMLOWP_EXP).T
    assert fp.exp_on_negative_values(argument).tolist() == result.tolist()


def test_one_over_one_plus_x_is_gemmlowps() -> None:
    argument, result = np.array(GEMMLOWP_ONE_OVER_ONE_PLUS_X).T
    assert fp.one_over_one_plus_x_for_x_in_0_1(argument).tolist() == result.tolist()


def test_exp_is_close_to_exp() -> None:
    argument = np.linspace(-(2**31 - 1), 0, 10001).astype(np.int64)
    error = fp.exp_on_negative_values(argument) / 2**31 - np.exp(argument / 2**26)
    assert np.max(np.abs(error)) < 3e-7  # gemmlowp's own tolerance


def test_count_leading_zeros() -> None:
    values = array(0, 1, 2, 3, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
    assert fp.count_leading_zeros(values).tolist() == [32, 31, 30, 30, 16, 15, 1, 0, 0]


@given(st.integers(1, fp.INT32_MAX))
def test_reciprocal(x: int) -> None:
    scale, num_bits_over_unit = fp.get_reciprocal(array(x), 12)
    real = x / 2 ** (31 - 12)
    assert scale[0] / 2**31 / 2.0 ** num_bits_over_unit[0] == pytest.approx(1 / real, rel=1e-7)

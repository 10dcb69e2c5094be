"""Block-floating arithmetic against fractions and floats."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.numerics.block_floating import (
    BIAS_LIMIT,
    BIAS_REACH,
    EXPONENT_OF_ZERO,
    LARGEST,
    bias_reach,
    common_factors,
    descended,
    factor,
    joined,
    multiplier,
    renormalized,
    rounded_weights,
    scaled,
    shifted,
    shifted_right,
    width,
)
from tinycompile.numerics.training_losses import LOSS_BITS, binary_logarithm, cross_entropy, squared_error
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops._training.rule import NoGradientError
from tinycompile.ops.exp import Exp
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.neg import Neg
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.tanh import Tanh

RNG = np.random.default_rng(0)


def halves_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


@pytest.mark.parametrize("largest", [1, 100, LARGEST, LARGEST + 1, 2**31 - 1])
def test_renormalized_sums_have_15_bits_and_keep_their_value(largest):
    sums = RNG.integers(-largest, largest + 1, 50)
    sums[7] = -largest
    values, exponent = renormalized(sums, -9)
    assert values.dtype == np.int16
    assert 1 << 14 <= np.abs(values.astype(int)).max() <= LARGEST
    step = 2.0 ** (exponent + 9)
    assert np.all(np.abs(values * step - sums) <= max(step / 2, step * (largest == 2**31 - 1)))


def test_zeros_change_nothing_where_they_join():
    values, exponent = renormalized(RNG.integers(-(2**20), 2**20, 30), 5)
    zeros, least = renormalized(np.zeros(30, np.int64), 100)
    assert least == EXPONENT_OF_ZERO
    for pair in (((values, exponent), (zeros, least)), ((zeros, least), (values, exponent))):
        again, place = joined(*pair[0], *pair[1])
        assert place == exponent
        np.testing.assert_array_equal(again, values)


def test_what_joins_values_that_were_clamped_keeps_its_bits():
    """The exponent is that of a large value which had no gradient in the end."""
    clamped, other = np.array([3, -1, 0], np.int16), np.array([20001, -30000, 12345], np.int16)
    values, exponent = joined(clamped, 0, other, -12)
    exact = clamped.astype(np.float64) + other * 2.0**-12
    found = np.ldexp(values.astype(np.float64), exponent)
    np.testing.assert_allclose(found, exact, rtol=0, atol=np.abs(exact).max() * 2.0**-15)


def test_shifts_round_halves_upwards():
    for x in (-5, -3, -2, -1, 0, 1, 2, 3, 5, 2**61 - 1, -(2**61)):
        for shift in (0, 1, 2, 31, 61, 62, 63, 5000):
            exact = halves_up(Fraction(x, 2 ** min(shift, 62)))
            assert int(shifted_right(np.array([x]), shift)[0]) == exact
    assert shifted(np.array([3, -(2**40)]), -2).tolist() == [12, -4 * (2**31 - 1)]


@pytest.mark.parametrize("real", [1e-30, 0.1, 0.99999, 1.0, 2.0 - 2**-20, 3.0, 1e20])
def test_factors_have_15_bits(real):
    mantissa, exponent = factor(real)
    assert 1 << 14 <= mantissa <= LARGEST
    assert math.ldexp(mantissa, exponent) == pytest.approx(real, rel=2**-15)


def test_powers_of_two_leave_values_as_they_are():
    values = np.arange(-LARGEST, LARGEST + 1).astype(np.int16)
    for real, sign in ((1.0, 1), (-1.0, -1), (0.25, 1), (2.0**-9, 1)):
        mantissa, exponent = multiplier(real)
        np.testing.assert_array_equal(scaled(values, mantissa, 15), sign * values.astype(int))
        assert math.ldexp(sign, exponent + 15) == real
    assert multiplier(-0.3) == (-factor(0.3)[0], factor(0.3)[1])


def test_factors_of_nothing():
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="no positive number"):
            factor(wrong)


@pytest.mark.parametrize(
    ("terms", "largest"), [(1, 128), (511, 128), (512, 128), (9 * 1280, 128), (96 * 96, 255), (70000, 1)]
)
def test_no_sum_overflows(terms, largest):
    bits = width(terms, largest)
    values = scaled(np.array([LARGEST, -LARGEST], np.int16), LARGEST, bits)
    assert np.abs(values).max() * largest * terms < 1 << 31
    assert bits == 15 or (1 << bits + 1) * largest * terms >= 1 << 31


def test_too_many_terms():
    with pytest.raises(ValueError, match="leave no room"):
        width(1 << 22, 128)


def test_mantissas_at_one_exponent():
    reals = np.array([0.3, 0.01, 1e-9])
    mantissas, exponent = common_factors(reals)
    assert mantissas[0] >= 1 << 14
    assert mantissas[2] == 0
    np.testing.assert_allclose(np.ldexp(mantissas.astype(float), exponent), reals, atol=2.0 ** (exponent - 1))


def test_a_step_is_exact_and_saturates():
    master = RNG.integers(-32640, 32640, (6, 40)).astype(np.int16)
    gradient = RNG.integers(-(2**31) + 1, 2**31, (6, 40)).astype(np.int32)
    mantissas, exponents = RNG.integers(2**28, 2**30, (6, 1)), RNG.integers(-60, -40, (6, 1))
    found = descended(master, gradient, 4, (mantissas, exponents), -32640)
    for at in np.ndindex(master.shape):
        row = at[0]
        product = Fraction(int(gradient[at]) * int(mantissas[row, 0])) * Fraction(2) ** (int(exponents[row, 0]) + 4)
        assert found[at] == min(max(int(master[at]) - halves_up(product), -32640), 32639)
    assert {rounded_weights(np.array([x]))[0] for x in (-32640, 32639)} == {-127, 127}


@pytest.mark.parametrize("scale", [0.004, 0.1, 0.9])
def test_cross_entropy_is_that_of_floats(scale):
    for _ in range(20):
        logits, label = RNG.integers(-128, 128, 10).astype(np.int8), int(RNG.integers(10))
        values, exponent, loss = cross_entropy(logits, scale, label)
        powers = np.exp((logits - logits.max().astype(float)) * scale)
        exact = powers / powers.sum() - (np.arange(10) == label)
        np.testing.assert_allclose(np.ldexp(values.astype(float), exponent), exact, atol=2.0**-9)
        true = math.log(powers.sum()) - scale * (int(logits[label]) - int(logits.max()))
        assert loss / (1 << LOSS_BITS) == pytest.approx(true, abs=0.004, rel=2.0**-14)


def test_a_label_that_no_class_has_is_the_nearest():
    logits = np.array([3, 5, -7], np.int8)
    for wrong, nearest in ((-4, 0), (3, 2), (2**31 - 1, 2)):
        assert cross_entropy(logits, 0.1, wrong)[2] == cross_entropy(logits, 0.1, nearest)[2]


def test_logarithms():
    for x in (1, 2, 3, 1000, 65535, 2**32 - 1):
        assert 0 <= math.log2(x) - binary_logarithm(x) / (1 << LOSS_BITS) < 2.0**-15


@pytest.mark.parametrize("scales", [(0.1, 0.1), (0.3, 0.02)])
def test_squared_error_is_that_of_floats(scales):
    y, target = RNG.integers(-128, 128, (2, 60)).astype(np.int8)
    values, exponent, loss = squared_error(y, target, scales, (3, -9))
    difference = (y - 3.0) * scales[0] - (target + 9.0) * scales[1]
    exact = 2 * difference / 60
    np.testing.assert_allclose(np.ldexp(values.astype(float), exponent), exact, atol=np.abs(exact).max() * 2**-12)
    assert loss / (1 << LOSS_BITS) == pytest.approx((difference**2).mean(), rel=0.002)


X = TensorType((256,), INT8, Quantization.per_tensor(0.04, -10))
FUNCTIONS = {
    Tanh(): (1 / 128, 0, lambda x: 1 - np.tanh(x) ** 2),
    Logistic(): (1 / 256, -128, lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    HardSwish(): (0.05, 0, lambda x: np.where(np.abs(x) < 3, (2 * x + 3) / 6, x > 0)),
    LeakyRelu(0.25): (0.02, -100, lambda x: np.where(x < 0, 0.25, 1)),
    Exp(): (1.0, -128, np.exp),
    Sqrt(): (0.01, -128, lambda x: np.where(x > 0, 0.5 / np.sqrt(np.maximum(x, 1e-9)), 0)),
    Neg(): (0.04, 0, lambda x: -np.ones_like(x)),
}


@pytest.mark.parametrize("op", FUNCTIONS, ids=lambda op: op.kind)
def test_slopes_are_those_of_the_real_function(op):
    """Between the ends of the output's range, where it is smooth; nothing beyond these."""
    scale, zero_point, derivative = FUNCTIONS[op]
    sig = Signature((X,), (TensorType((256,), INT8, Quantization.per_tensor(scale, zero_point)),))
    x = (INT8_VALUES.astype(float) - X.zero_point) * X.scale
    y, slopes = op.table(sig), op.slopes(sig)
    inside = (y > -128) & (y < 127)
    assert not slopes[~inside].any()
    smooth = inside & (np.abs(x) > 0.1) & (np.abs(np.abs(x) - 3) > 0.1)
    np.testing.assert_allclose(slopes[smooth], derivative(x)[smooth], rtol=4e-3, atol=1e-4)


def test_a_table_of_no_function_has_no_slopes():
    with pytest.raises(NoGradientError, match="its table is of no function of real numbers"):
        Lookup(bytes(256)).slopes(Signature((X,), (X,)))


def test_how_far_biases_are_taken() -> None:
    reaches = [bias_reach(np.array([0, -largest], np.int32)) for largest in (0, 1 << 19, 3 << 20, BIAS_LIMIT)]
    assert reaches == [BIAS_REACH, 1 << 20, 1 << 22, BIAS_LIMIT]

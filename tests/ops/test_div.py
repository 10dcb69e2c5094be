"""Division, in floats and by ONNX's rule."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.elementwise import EVERY_PAIR, compare, compare_pairs
from tests.ops.floats import check_float_binary
from tests.ops.onnx_pairs import check_onnx_rule
from tests.ops.oracle import activations, scales, thorough, zero_points
from tests.support.kernel_checks import int8
from tests.support.tflite_builder import RELU, RELU6, RELU_N1_TO_1
from tinycompile.ir import Signature
from tinycompile.ops.div import Div


def test_floats():
    check_float_binary(Div())


def test_every_pair_by_the_rule_of_onnx():
    check_onnx_rule(Div, "Div")


@thorough
@given(st.tuples(scales, zero_points), st.tuples(scales, zero_points), st.floats(-6, 6), zero_points, activations)
def test_every_pair(first, second, exponent, y_zero, activation):
    """Against LiteRT, but for divisions by 0, at which it stops."""
    a, b = EVERY_PAIR
    b = np.where(b == second[1], b + (1 if second[1] < 127 else -1), b).astype(np.int8)
    y_scale = float(np.float32(first[0] / second[0] * 2.0**exponent))
    undefined = shifts_too_far(a, b, (first, second, (y_scale, y_zero)))
    quants = [first, second, (y_scale, y_zero)]
    compare("DIV", [a, b], quants, skip=undefined, FusedActivationFunction=activation)


@given(st.floats(-12, -4), st.floats(-12, -4), st.floats(-6, 6), activations)
def test_int16(first, second, exponent, activation):
    """A tenth of the divisors are small: their quotients are all that isn't 0 or an end."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-(1 << 15), 1 << 15, (2, 2000)).astype(np.int16)
    b[::10] = rng.integers(-9, 10, b[::10].shape)
    b = np.where(b == 0, 1, b)
    scales = [float(np.float32(2.0**e)) for e in (first, second)]
    quants = [(scales[0], 0), (scales[1], 0), (float(np.float32(scales[0] / scales[1] * 2.0**exponent)), 0)]
    compare("DIV", [a, b], quants, skip=shifts_too_far(a, b, quants), FusedActivationFunction=activation)


def shifts_too_far(a, b, quants):
    """Where LiteRT shifts by more than 31 bits: the quotient's first bit is that far below the output's last one."""
    (x_scale, x_zero), (d_scale, d_zero), (y_scale, _) = quants
    real = np.float32(x_scale) / (np.float32(d_scale) * np.float32(y_scale))
    exponent = np.frexp(np.float64(real))[1]
    dividend, divisor = a.astype(int) - x_zero, np.abs(b.astype(int) - d_zero)
    negative = np.where(b.astype(int) - d_zero < 0, dividend > 0, dividend < 0)
    dividend = np.abs(dividend) - negative  # as its complement has bits
    bits = np.where(dividend == 0, 0, np.frexp(dividend.astype(float))[1])
    return np.frexp(divisor.astype(float))[1] - 1 + (31 - bits) - exponent > 31


def test_shifts_that_are_undefined_in_litert_are_within_a_step_of_the_real_quotient():
    a, b = EVERY_PAIR
    types = int8(a.shape, 0.05, 3), int8(a.shape, 0.04, -128)
    y = int8(a.shape, 0.3, 0)
    (result,) = Div().evaluate(Signature(types, (y,)), (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        real = np.float64(0.05) * (a.astype(float) - 3) / (0.04 * (b.astype(float) + 128)) / 0.3
    near = np.clip(np.where(b == -128, np.sign(a.astype(float) - 3) * 256, real), -128, 127)
    assert np.abs(result - near).max() <= 1
    assert shifts_too_far(a, b, ((0.05, 3), (0.04, -128), (0.3, 0))).any()


def test_numbers():
    compare_pairs("DIV", "float32", 1, 9, tolerance=1e-6)
    compare_pairs("DIV", "int32", 1, 90)
    rng = np.random.default_rng(0)
    a, b = rng.integers(-90, 90, (2, 500)).astype(np.int32)
    compare("DIV", [a, np.where(b == 0, 1, b).astype(np.int32)])


def test_floats_with_an_activation():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 9, (2, 500)).astype(np.float32)
    for activation in (RELU, RELU6, RELU_N1_TO_1):
        compare("DIV", [a, b], tolerance=1e-6, FusedActivationFunction=activation)

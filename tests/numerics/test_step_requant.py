"""ONNX's rule in real numbers: against exact rational arithmetic, and its 64-bit line against its steps."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.numerics.step_line import step_line
from tinycompile.numerics.step_requant import StepRequant, exact_requant, real_product

scales = st.sampled_from([0.1, 0.05, 0.02, 0.3, 0.5, 0.25, 1.0, 2.0**-7, 0.0173, 3.7, 1e-4])


def rule_of(sx: float, sw: float, sy: float, offset: Fraction, zero_point: int) -> StepRequant:
    product = real_product(float(np.float32(sx)), np.array([np.float32(sw)], np.float64))
    return exact_requant(product, [offset], Fraction(float(np.float32(sy))), zero_point, -128, 127)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(scales, scales, scales, st.integers(-3, 3), st.integers(-128, 127), st.integers(0, 99))
def test_every_output_is_the_rounded_real_number(sx, sw, sy, eighths, zero_point, seed):
    offset = Fraction(eighths, 8)
    rule = rule_of(sx, sw, sy, offset, zero_point)
    p = Fraction(float(np.float32(sx))) * Fraction(float(np.float32(sw)))
    reach = min(float(200 / rule.scale[0]), 2**30)
    for acc in np.random.default_rng(seed).integers(-reach, reach + 1, 40).tolist() + [0, 1, -1, 2, -2, 3]:
        real = (acc * p + offset) / Fraction(float(np.float32(sy)))
        expected = min(max(round(real) + zero_point, -128), 127)  # Python rounds halves of fractions to even
        assert rule.apply(np.array([acc])) == [expected], acc


def check_line(rule: StepRequant, low: int, high: int) -> bool:
    line = step_line(rule, np.full(rule.channels, low), np.full(rule.channels, high))
    assert line is not None
    for c in range(rule.channels):
        near = np.concatenate([rule.steps[c], rule.steps[c] - 1, np.linspace(low, high, 500).astype(np.int64)])
        acc = np.unique(np.clip(near, low, high))
        t = acc * int(line.multiplier[c]) + int(line.offset[c])
        shifted = t >> int(line.shift[c])
        if line.ties:
            tie = t & ((1 << int(line.shift[c])) - 1) == 0
            shifted = np.where(tie, shifted & ~1, shifted)
        got = np.clip(shifted + line.zero_point_after, rule.low, rule.high)
        expected = np.searchsorted(rule.steps[c], acc, side="right") + rule.low
        assert np.array_equal(got, expected)
    return line.ties


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
@pytest.mark.parametrize(
    ("sx", "sw", "sy", "ties"), [(0.02, 0.007, 0.05, False), (0.1, 0.05, 0.02, False), (0.5, 0.25, 2.0, True)]
)
def test_line(sx, sw, sy, ties, zero_point):
    assert check_line(rule_of(sx, sw, sy, Fraction(0), zero_point), -200_000, 200_000) == ties


def test_line_of_a_short_range_and_of_constant_outputs():
    rule = rule_of(0.02, 0.007, 0.05, Fraction(0), 5)
    for low, high in ((-10, 10), (0, 0), (100_000, 200_000), (-40_000, 40_000)):
        check_line(rule, low, high)
        check_line(rule.clamped(-20, 33), low, high)


def test_channels_and_clamps():
    product = real_product(0.25, np.array([0.5, 0.125]))
    rule = exact_requant(product, [Fraction(0), Fraction(1, 3)], Fraction(1, 2), 0, -128, 127)
    acc = np.arange(-2000, 2000)[:, None] * np.array([1, 1])
    both, second = rule.apply(acc), rule.take(np.array([1]))
    assert np.array_equal(second.apply(acc[:, 1:]), both[:, 1:])
    assert np.array_equal(rule.clamped(-7, 9).apply(acc), np.clip(both, -7, 9))


def test_rounding_after_the_zero_point():
    """As QLinearConv and QLinearMatMul do in the reference evaluator: 0.5 + 1 becomes 2."""
    half = exact_requant([Fraction(1, 2)], [Fraction(0)], Fraction(1), 1, -128, 127, even_zero_point=0)
    assert half.apply(np.array([[1], [3], [-1]])).ravel().tolist() == [2, 2, 0]
    assert half.clamped(-128, 127).steps.shape == (1, 255)


def test_straight_rules():
    """Whatever is added, wherever it is clamped; not with other ends in another channel, or a function in between."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        product = [Fraction(float(10 ** rng.uniform(-13, 1))) for _ in range(3)]
        offset = [p * int(n) for p, n in zip(product, rng.integers(-(2**31), 2**31, 3), strict=True)]
        rule = exact_requant(product, offset, Fraction(float(10 ** rng.uniform(-4, 1))), 3, -128, 127)
        assert rule.is_straight()
        assert rule.clamped(int(rng.integers(-128, 0)), 100).is_straight()
    rule = exact_requant([Fraction(1, 900), Fraction(1, 7)], [Fraction(0)] * 2, Fraction(1, 20), 3, -128, 127)
    assert not replace(rule, steps=rule.steps**3 // 10**6).is_straight()
    for low, high, same in ((-100, 90, True), (-128, 90, False), (-100, 127, False), (5, 5, False)):
        found = rule.clamped_by_channel(np.array([low, -100]), np.array([high, 90]))
        assert found.is_straight() == same

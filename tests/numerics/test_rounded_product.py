"""The float64 rule of FULLY_CONNECTED and its integer form."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinycompile.numerics.fixed_point import INT32_MAX, INT32_MIN
from tinycompile.numerics.requant import UNREACHABLE, smallest_true
from tinycompile.numerics.rounded_product import RoundedProductRequant

clamps = st.sampled_from([(-128, 127), (-5, 100), (3, 3)])


def rule_of(*scales: float, zero_point: int = 0, low: int = -128, high: int = 127) -> RoundedProductRequant:
    return RoundedProductRequant(np.array(scales, np.float64), zero_point, low, high)


def test_halves_go_away_from_zero() -> None:
    acc = np.array([[-5], [-4], [-3], [-1], [0], [1], [3], [5]])
    assert rule_of(0.5, zero_point=5).apply(acc).ravel().tolist() == [2, 3, 3, 4, 5, 6, 7, 8]


@given(st.integers(INT32_MIN, INT32_MAX), st.floats(1e-9, 0.999), st.integers(-128, 127))
def test_rounds_the_exact_product_unless_it_is_next_to_a_tie(acc: int, scale: float, zero_point: int) -> None:
    exact = acc * Fraction(scale)
    if abs(abs(exact) % 1 - Fraction(1, 2)) > Fraction(1, 10**6):
        expected = min(max(round(exact) + zero_point, -128), 127)
        assert rule_of(scale, zero_point=zero_point).apply(np.array([acc])) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 3.0), min_size=1, max_size=5), st.integers(-128, 127), clamps)
def test_thresholds_are_bisection(scales: list[float], zero_point: int, clamp: tuple[int, int]) -> None:
    rule = rule_of(*scales, zero_point=zero_point, low=clamp[0], high=clamp[1])
    steps = np.arange(rule.low + 1, rule.high + 1)

    def reached(acc: np.ndarray) -> np.ndarray:
        return steps <= rule.apply(np.clip(acc.T, *rule.domain)).T

    assert np.array_equal(rule.thresholds(), smallest_true(reached, np.zeros((rule.channels, steps.size))))


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.floats(1e-4, 4.0), st.integers(-2, 13).map(lambda n: 2.0**-n)), st.integers(-128, 127), clamps)
@example(1.15, 0, (-128, 127))
def test_integer_form_says_where_it_is_the_rule(scale: float, zero_point: int, clamp: tuple[int, int]) -> None:
    """31 bits hold no scale whose ties the float64 product rounds to: 110 * 1.15 is 126.5 in float64."""
    rule = rule_of(scale, zero_point=zero_point, low=clamp[0], high=clamp[1])
    domains = np.array([rule.domain, rule.fixed_point.domain])[:, :, 0]
    everything = np.array([domains[:, 0].max()]), np.array([domains[:, 1].min()])
    exact, integer = rule.thresholds(), rule.fixed_point.thresholds()
    assert rule.is_fixed_point(*everything).all() == np.array_equal(exact, integer)
    for threshold in np.minimum(exact, integer)[exact != integer].tolist():
        assert abs(abs(threshold * Fraction(scale)) % 1 - Fraction(1, 2)) < Fraction(1, 10**4), "not next to a tie"


@pytest.mark.parametrize("exponent", range(-2, 14))
def test_powers_of_two_have_the_integer_form(exponent: int) -> None:
    rule = rule_of(2.0**-exponent)
    assert np.array_equal(rule.thresholds(), rule.fixed_point.thresholds())


def test_reachable_accumulators_decide_whether_the_integer_form_is_exact() -> None:
    """A scale so small that 31 bits of multiplier don't resolve the thresholds far from zero."""
    scales = np.random.default_rng(0).uniform(0.7e-6, 1.4e-6, 50)
    rule = rule_of(*scales)
    wide, narrow = np.full(50, 2**30), np.full(50, 10**5)
    assert not rule.is_fixed_point(-wide, wide).all()
    assert rule.is_fixed_point(-narrow, narrow).all()


def test_what_leaves_int32_is_converted_as_on_x86_64() -> None:
    """INT32_MIN, to which the zero point is added modulo 2^32."""
    acc = np.array([[INT32_MIN], [-(2**30)], [-1], [1], [2**30], [INT32_MAX]])
    assert rule_of(2.0, zero_point=5).apply(acc).ravel().tolist() == [-128, -128, 3, 7, -128, -128]
    assert rule_of(2.0, zero_point=-5).apply(acc).ravel().tolist() == [127, 127, -7, -3, 127, 127]
    assert not rule_of(2.0).is_fixed_point(np.array([0]), np.array([2**30])).any()


@pytest.mark.parametrize("scale", [2.0**31, 1e30])
def test_scales_without_an_integer_form_say_so(scale: float) -> None:
    rule = rule_of(scale, 2.0**30)
    assert rule.is_fixed_point(np.array([-1, -2]), np.array([1, 2])).tolist() == [False, False]
    assert rule.domain[1].tolist() == [0, 1]


def test_a_scale_of_zero_is_constant() -> None:
    rule = rule_of(0.0, zero_point=3)
    assert rule.apply(np.array([[INT32_MIN], [INT32_MAX]])).ravel().tolist() == [3, 3]
    assert set(rule.thresholds().ravel().tolist()) == {INT32_MIN, UNREACHABLE}


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0])
def test_refuses_senseless_scales(scale: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        rule_of(scale)

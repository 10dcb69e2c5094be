"""The thresholds of a rule against the rule, and the rules against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.numerics.fixed_point import INT32_MAX, INT32_MIN, quantize_multiplier
from tinycompile.numerics.requant import (
    UNREACHABLE,
    OnnxRequant,
    Requant,
    TfliteRequant,
    is_step_function,
    smallest_true,
)
from tinycompile.numerics.rounded_product import RoundedProductRequant

ranges = st.sampled_from([(-128, 127), (0, 255), (-5, 100), (3, 3)])
scales = st.lists(st.floats(1e-9, 3.0), min_size=1, max_size=6)


def tflite(scale: list[float], zero_point: int, low: int, high: int) -> TfliteRequant:
    return TfliteRequant(*quantize_multiplier(np.array(scale)), zero_point, low, high)


def steps(rule: Requant) -> np.ndarray:
    return np.arange(rule.low + 1, rule.high + 1)


def bisected(rule: Requant) -> np.ndarray:
    """The thresholds by bisection of the rule over its domain, beyond which it is taken to stay as it is."""
    shape = (rule.channels, steps(rule).size)
    low, high = (bound[:, None] for bound in rule.domain)

    def reached(acc: np.ndarray) -> np.ndarray:
        outputs = rule.apply(np.clip(acc, low, high).T).T
        return outputs >= steps(rule)

    found = smallest_true(reached, np.zeros(shape))
    return np.where(found > high, UNREACHABLE, found)


def assert_thresholds_fit(rule: Requant) -> None:
    thresholds = rule.thresholds()
    assert thresholds.shape == (rule.channels, rule.high - rule.low)
    low, high = (bound[:, None] for bound in rule.domain)
    reachable, positive = thresholds <= high, thresholds > low
    at = rule.apply(np.clip(thresholds, low, high).T).T
    before = rule.apply(np.clip(thresholds - 1, low, high).T).T
    assert np.all((at >= steps(rule)) == reachable)
    assert np.all((before < steps(rule)) | ~positive)


@settings(max_examples=60, deadline=None)
@given(scales, st.integers(-128, 255), ranges)
def test_tflite_closed_form_is_bisection(scale: list[float], zero_point: int, bounds: tuple[int, int]) -> None:
    rule = tflite(scale, zero_point, *bounds)
    assert np.array_equal(rule.thresholds(), bisected(rule))
    assert_thresholds_fit(rule)


@pytest.mark.parametrize("single_rounding", [False, True])
@pytest.mark.parametrize("multiplier", [0, 1, 77777, 2**30 - 1, 2**30, 2**30 + 1, 3 * 2**29 + 1, 2**31 - 1])
def test_tflite_closed_form_at_every_shift(multiplier: int, single_rounding: bool) -> None:
    shift = np.arange(-31, 31, dtype=np.int32)
    rule = TfliteRequant(np.full(shift.shape, multiplier, np.int32), shift, 7, -128, 127, single_rounding)
    assert np.array_equal(rule.thresholds(), bisected(rule))
    assert_thresholds_fit(rule)


@given(st.integers(-(2**31), 2**31 - 1), st.floats(1e-9, 1.0))
def test_tflite_single_rounding_is_exact_with_halves_upwards(acc: int, scale: float) -> None:
    multiplier, shift = quantize_multiplier(np.array([scale]))
    rule = TfliteRequant(multiplier, shift, 7, -128, 127, single_rounding=True)
    if shift[0] <= 0:
        product = acc * Fraction(int(multiplier[0]), 2 ** (31 - int(shift[0])))
        assert rule.apply(np.array([acc])) == min(max(floor(product + Fraction(1, 2)) + 7, -128), 127)


def test_tflite_rounds_twice_and_halves_away_from_zero() -> None:
    """7 / 16 becomes 3.5 / 8, then 4 / 8, then 1; -7 / 16 becomes -3 / 8, then 0; -8 / 16 becomes -1."""
    rule = tflite([2.0**-4], 3, -128, 127)
    acc = np.array([[-24], [-8], [-7], [7], [8], [24]])
    assert rule.apply(acc).ravel().tolist() == [1, 2, 3, 4, 4, 5]


def test_tflite_wraps_where_the_left_shift_overflows() -> None:
    """3 is 0.75 * 2^2, and 4 * 2^30 is 0 in 32 bits, 4 * (2^31 - 1) is -4."""
    rule = tflite([3.0], 0, -128, 127)
    acc = np.array([[INT32_MIN], [-1], [1], [2**30], [INT32_MAX]])
    assert rule.apply(acc).ravel().tolist() == [0, -3, 3, 0, -3]
    (low,), (high,) = rule.domain
    assert (2**29 - 1000 < high < 2**29) and low == -high


@pytest.mark.parametrize("multiplier", [2**30, 2**31 - 1])
def test_on_its_domain_a_rule_is_a_step_function(multiplier: int) -> None:
    """Sampled, with both ends: outputs never decrease."""
    shift = np.arange(-31, 31, dtype=np.int32)
    for zero_point in (-128, 0, 127):
        rule = TfliteRequant(np.full(shift.shape, multiplier, np.int32), shift, zero_point, -128, 127)
        low, high = rule.domain
        points = np.linspace(low, high, 5001).astype(np.int64)
        assert np.all(np.diff(rule.apply(np.clip(points, low, high)), axis=0) >= 0)


def test_an_accumulator_wraps_like_a_register() -> None:
    for rule in (tflite([0.001], 3, -128, 127), RoundedProductRequant(np.array([0.001]), 3, -128, 127)):
        acc = np.array([[2**31 + 5000], [-(2**31) - 7000], [2**32 + 9000]])
        assert rule.apply(acc).tolist() == rule.apply(acc.astype(np.int32)).tolist()
        assert not np.any(is_step_function(rule, np.array([INT32_MAX]), np.array([INT32_MAX + 1])))


@settings(max_examples=60, deadline=None)
@given(scales, st.integers(-128, 255), ranges, st.sampled_from(["float32", "float64"]))
def test_onnx_thresholds_are_bisection(
    scale: list[float], zero_point: int, bounds: tuple[int, int], precision: Literal["float32", "float64"]
) -> None:
    rule = OnnxRequant(np.array(scale, np.float32), zero_point, *bounds, precision)
    assert np.array_equal(rule.thresholds(), bisected(rule))
    assert_thresholds_fit(rule)


@given(st.integers(-(2**29), 2**29), st.floats(2.0**-20, 1.0, width=32))
def test_onnx_float64_is_exact(acc: int, scale: float) -> None:
    rule = OnnxRequant(np.array([scale], np.float32), 5, -128, 127, "float64")
    expected = min(max(round(acc * Fraction(scale)) + 5, -128), 127)
    assert rule.apply(np.array([acc])) == expected


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_onnx_rounds_halves_to_even_before_the_zero_point(precision: Literal["float32", "float64"]) -> None:
    rule = OnnxRequant(np.array([0.5], np.float32), 1, -128, 127, precision)
    acc = np.array([[-3], [-1], [1], [3], [5]])
    assert rule.apply(acc).ravel().tolist() == [-1, 1, 1, 3, 3]


def int8_row(acc: int) -> list[int]:
    """60 int8 factors with weight 127 and one with weight 1 whose sum of products is `acc`."""
    quotient, rest = divmod(acc + 63, 127)
    coarse = [min(max(quotient - 127 * i, 0), 127) + min(max(quotient + 127 * i, -127), 0) for i in range(60)]
    return [*coarse, rest - 63]


def test_float32_is_onnx_runtime_and_float64_the_reference_evaluator() -> None:
    """Where they differ: around the thresholds, of a scale with ten float32 steps per accumulator step."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    x_scale, w_scale, y_scale, zero_point = (
        np.float32(0.0123),
        np.float32(0.00217),
        np.float32(0.31),
        np.int8(5),
    )
    scale = OnnxRequant.product_scale(float(x_scale), np.array([w_scale]), float(y_scale))
    narrow, exact = (OnnxRequant(scale, 5, -128, 127, precision) for precision in ("float32", "float64"))
    acc = np.concatenate([narrow.thresholds()[0] + step for step in (-1, 0, 1)])
    acc = acc[np.abs(acc) < 60 * 127 * 127]
    x = np.array([int8_row(int(value)) for value in acc], np.int8)
    w = np.array([[127]] * 60 + [[1]], np.int8)
    assert np.array_equal((x.astype(np.int64) @ w).ravel(), acc)

    zero = np.int8(0)
    constants = {
        "xs": x_scale,
        "xz": zero,
        "w": w,
        "ws": w_scale,
        "wz": zero,
        "ys": y_scale,
        "yz": zero_point,
    }
    inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("QLinearMatMul", inputs, ["y"])],
        "product",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.INT8, x.shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT8, (len(x), 1))],
        [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(None, {"x": x})[0], narrow.apply(acc[:, None]))
    assert np.array_equal(evaluator(model).run(None, {"x": x})[0], exact.apply(acc[:, None]))
    assert not np.array_equal(narrow.apply(acc[:, None]), exact.apply(acc[:, None]))


def test_product_scale_is_float32_from_left_to_right() -> None:
    scale = OnnxRequant.product_scale(0.1, np.array([0.01, 0.02], np.float32), 0.3)
    expected = np.array([0.01, 0.02], np.float32) * np.float32(0.1) / np.float32(0.3)
    assert scale.dtype == np.float32
    assert np.array_equal(scale, expected)


def test_unreachable_outputs_have_the_sentinel() -> None:
    assert tflite([0.0], 4, 0, 8).thresholds().tolist() == [[INT32_MIN] * 4 + [UNREACHABLE] * 4]
    assert OnnxRequant(np.array([1e-10], np.float32), 0, 0, 1).thresholds().tolist() == [[UNREACHABLE]]


def test_malformed_rules_are_rejected() -> None:
    one = np.ones(1, np.int32)
    with pytest.raises(ValueError, match="same length"):
        TfliteRequant(one, np.ones(2, np.int32), 0, -128, 127)
    with pytest.raises(ValueError, match="multiplier"):
        TfliteRequant(-one, one, 0, -128, 127)
    with pytest.raises(ValueError, match="shift"):
        TfliteRequant(one << 30, one * 31, 0, -128, 127)
    with pytest.raises(ValueError, match="range"):
        TfliteRequant(one << 30, one, 0, -1, 1 << 16)
    with pytest.raises(ValueError, match="zero point"):
        TfliteRequant(one << 30, one, 256, 0, 255)
    with pytest.raises(ValueError, match="float32"):
        OnnxRequant(np.ones((1, 1), np.float32), 0, -128, 127)
    with pytest.raises(ValueError, match="positive"):
        OnnxRequant(np.zeros(1, np.float32), 0, -128, 127)

"""Requantisation by two products against the rules and the machine, and a proof that must notice changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinycompile.ir import Array
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import OnnxRequant, Requant, TfliteRequant
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.numerics.split_line import SplitLine, prove, split_line

CHANNELS = 8
KINDS = ("tflite", "single rounding", "product", "onnx")


def rule_of(kind: str, scale: Array, zero_point: int, low: int, high: int) -> Requant:
    match kind:
        case "tflite":
            return TfliteRequant(*quantize_multiplier(scale), zero_point, low, high)
        case "single rounding":
            return TfliteRequant(*quantize_multiplier(scale), zero_point, low, high, single_rounding=True)
        case "product":
            return RoundedProductRequant(scale, zero_point, low, high)
        case _:
            return OnnxRequant(scale.astype(np.float32), zero_point, low, high, "float64")


def layer(
    kind: str, seed: int, zero_point: int = -128, low: int = -128, high: int = 127
) -> tuple[Requant, Array, Array]:
    """(rule, lowest, highest accumulator): some channels saturate on neither side, one has a single output."""
    rng = np.random.default_rng(seed)
    scale = 1.5e-2 * rng.uniform(1, 5, CHANNELS)
    rule = rule_of(kind, scale, zero_point, low, high)
    first, last = rng.uniform(-500, -50, CHANNELS), rng.uniform(20, 600, CHANNELS)
    first[0], last[0] = -900, -800
    return rule, *((ends / scale).astype(np.int64) for ends in (first, last))


def machine(line: SplitLine, acc: int, channel: int) -> int:
    """One instruction after the other, on Python integers."""

    def int32(x: int) -> int:
        return (x + 2**31) % 2**32 - 2**31

    a = acc - int(line.centre[channel])
    a = min(max(a, int(line.low[channel])), int(line.high[channel]))
    m, bits = int(line.multiplier[channel]), line.low_bits
    low = a * (m % 2**bits)
    assert low == int32(low) and 0 <= m < 2**31
    t = int32(a * (m >> bits)) + (low >> bits) + int(line.offset[channel]) - (int(line.step[channel]) if a < 0 else 0)
    return int32(t) >> 24


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("zero_point", "low", "high"),
    [(-128, -128, 127), (5, -128, 127), (-3, -60, 70), (10, 10, 127), (127, 127, 127)],
)
def test_every_accumulator(kind: str, zero_point: int, low: int, high: int) -> None:
    rule, acc_min, acc_max = layer(kind, KINDS.index(kind), zero_point, low, high)
    line = split_line(rule, acc_min, acc_max)
    assert line is not None
    acc = np.clip(np.arange(acc_min.min(), acc_max.max() + 1)[:, None], acc_min, acc_max)
    np.testing.assert_array_equal(line.apply(acc), rule.apply(acc))
    for channel in (0, 7):
        for value in np.linspace(acc_min[channel], acc_max[channel], 50).astype(int).tolist():
            assert machine(line, value, channel) == line.apply(np.full(CHANNELS, value))[channel]


def test_double_rounding_takes_a_step() -> None:
    for zero_point, signed in ((-128, False), (5, True)):
        line = split_line(*layer("tflite", 0, zero_point))
        assert line is not None and line.signed == signed and bool(np.any(line.step)) == signed
        assert np.all(line.low == -line.high) or signed


def test_ends_of_unequal_magnitude_are_both_in_the_code() -> None:
    """Only the signed form has a low end of its own; it is taken though no channel has a step."""
    line = split_line(rule_of("tflite", np.array([0.7]), -128, -128, 127), np.array([-236]), np.array([291]))
    assert line is not None and line.signed
    assert not np.any(line.step) and np.all(line.low != -line.high)


@pytest.mark.parametrize(("name", "change"), [("multiplier", 2**22), ("offset", 2**18), ("centre", 2), ("low", 300)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_proof_notices_a_changed_constant(name: str, change: int, sign: int) -> None:
    rule, acc_min, acc_max = layer("product", 3)
    line = split_line(rule, acc_min, acc_max)
    assert line is not None and prove(line, rule, acc_min, acc_max) is None
    changed = getattr(line, name).copy()
    changed[4] += sign * change
    assert prove(replace(line, **{name: changed}), rule, acc_min, acc_max) is not None


def test_the_proof_notices_overflow_and_what_is_not_monotone() -> None:
    rule, acc_min, acc_max = layer("tflite", 3, 5)
    line = split_line(rule, acc_min, acc_max)
    assert line is not None
    for change in ({"low_bits": 24}, {"step": -line.step}, {"multiplier": -line.multiplier}):
        assert "channel" in str(prove(replace(line, **change), rule, acc_min, acc_max))


def test_no_line_where_sums_are_too_large_for_it() -> None:
    """A product of sums of 2^25 and a lower part has no room; accumulators beyond int32 have no steps."""
    scale = np.full(1, 2e-6)
    rule = rule_of("tflite", scale, 5, -128, 127)
    assert split_line(rule, np.array([-(2**27)]), np.array([2**27])) is None
    assert split_line(rule, np.array([-(2**33)]), np.array([2**33])) is None
    assert split_line(rule_of("tflite", scale, 0, -128, 300), np.array([-5]), np.array([5])) is None

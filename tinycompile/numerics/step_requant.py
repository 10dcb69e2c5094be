"""Requantisation as ONNX means it: the real value of a formula, rounded once.

DequantizeLinear -> Conv, Gemm, MatMul or an average -> QuantizeLinear is, with the accumulator acc an integer,

    y = saturate(round_half_even((acc * p + e) / q) + zero_point)

in real numbers, where p is the product of the operands' scales, e what the bias adds that is no multiple of p, and q
the output's scale. ONNX leaves the order of a sum of products open, so no float32 result is *the* result; the real
number is what all orders approximate. The thresholds of the step function are found in exact rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tinycompile.numerics.fixed_point import Float64Array, Int32Array, Int64Array, IntegerArray

LARGEST_SUM = 2**34
"""More than a sum of products in int32 and a bias in int32 can be, together with what zero points add."""

_ROUNDED = 2.001
"""By how much thresholds of a straight line differ from it at most: each is an integer, and ties go up or down."""


@dataclass(frozen=True, eq=False)
class StepRequant:
    """A rule that is given by its thresholds.

    Attributes:
        steps: int64 (C, high - low): entry k - low - 1 is the smallest accumulator with an output of k or more, clipped
            to +- `LARGEST_SUM`.
        scale: float64 (C,): the slope.
        low, high: the clamp: the range of the output type, narrowed by an activation.
        even_zero_point: what is taken off an output before it is looked at for being even.
    """

    steps: Int64Array
    scale: Float64Array
    zero_point: int
    low: int
    high: int
    even_zero_point: int = 0

    @property
    def channels(self) -> int:
        return self.scale.size

    @property
    def domain(self) -> tuple[Int64Array, Int64Array]:
        """Real numbers don't wrap."""
        high = np.full(self.channels, LARGEST_SUM, np.int64)
        return -high, high

    def real_scale(self) -> Float64Array:
        return self.scale

    def thresholds(self) -> Int64Array:
        return self.steps

    def is_straight(self) -> bool:
        """Whether outputs rise by `scale` between the ends of the clamp, in each channel."""
        rises: Float64Array = np.arange(self.steps.shape[1], dtype=np.float64) / self.scale[:, None]
        inside = np.abs(self.steps) < LARGEST_SUM
        places: Float64Array = np.where(inside, self.steps - rises, 0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
        line = np.clip(places[:, None] + rises, -LARGEST_SUM, LARGEST_SUM)
        known = inside.any(axis=1)
        if not np.all(np.abs(line - self.steps)[known] <= _ROUNDED):
            return False
        rest = self.steps[~known]  # all beyond what sums reach
        return bool(np.all((rest == rest[:, :1]) | (2 * LARGEST_SUM * self.scale[~known, None] < 1)))

    def apply(self, acc: IntegerArray) -> Int32Array:
        """The outputs of accumulators of shape (..., C)."""
        flat = acc.reshape(-1, acc.shape[-1])
        flat = np.broadcast_to(flat, (flat.shape[0], max(acc.shape[-1], self.channels)))
        outputs = np.empty(flat.shape, np.int32)
        for channel in range(flat.shape[1]):
            steps = self.steps[min(channel, self.channels - 1)]
            outputs[:, channel] = np.searchsorted(steps, flat[:, channel], side="right")
        return outputs.reshape(*acc.shape[:-1], flat.shape[1]) + np.int32(self.low)

    def take(self, channels: IntegerArray) -> StepRequant:
        """The rule of some channels."""
        return replace(self, steps=self.steps[channels], scale=self.scale[channels])

    def clamped(self, low: int, high: int) -> StepRequant:
        """With outputs clamped to a narrower range."""
        low, high = max(self.low, min(low, self.high)), min(self.high, max(high, self.low))
        return replace(self, steps=self.steps[:, low - self.low : high - self.low], low=low, high=high)

    def clamped_by_channel(self, low: IntegerArray, high: IntegerArray) -> StepRequant:
        """With the outputs of each channel clamped to a range (C,) of its own within `low` and `high`."""
        outputs = np.arange(self.low + 1, self.high + 1)
        below, above = outputs <= low[:, None], outputs > high[:, None]
        steps = np.where(below, -LARGEST_SUM, np.where(above, LARGEST_SUM, self.steps))
        return replace(self, steps=steps).clamped(int(low.min()), int(high.max()))


def exact_requant(
    product: Sequence[Fraction],
    offset: Sequence[Fraction],
    divisor: Fraction,
    zero_point: int,
    low: int,
    high: int,
    even_zero_point: int | None = None,
) -> StepRequant:
    """The rule of the module's formula.

    Args:
        product: p per channel, positive.
        offset: e per channel.
        divisor: q, positive.
        low, high: the output's range.
        even_zero_point: QuantizeLinear rounds before it adds the zero point, which is the default; where a definition
            adds first, 0.
    """
    if even_zero_point is None:
        even_zero_point = zero_point
    outputs = range(low + 1, high + 1)
    odd = np.array([(k - even_zero_point) % 2 for k in outputs], np.int64)
    twice = [2 * (k - zero_point) - 1 for k in outputs]
    found: dict[tuple[Fraction, Fraction], Int64Array] = {}
    for p, e in zip(product, offset, strict=True):
        if (p, e) not in found:
            found[p, e] = _thresholds(p / divisor, e / divisor, twice, odd)
    steps = np.array([found[key] for key in zip(product, offset, strict=True)], np.int64).reshape(len(product), -1)
    scale = np.array([float(p / divisor) for p in product], np.float64)
    return StepRequant(steps, scale, zero_point, low, high, even_zero_point)


def _thresholds(slope: Fraction, start: Fraction, twice: Sequence[int], odd: Int64Array) -> Int64Array:
    """The smallest acc with 2 (acc * slope + start) >= twice; one more where the tie goes down, to an even output.

    In integers: with slope = a / d and start = b / d, acc >= (twice * d - 2 b) / (2 a).
    """
    d = slope.denominator * start.denominator
    a, b = slope.numerator * start.denominator, start.numerator * slope.denominator
    result = np.empty(len(twice), np.int64)
    for index, value in enumerate(twice):
        quotient, remainder = divmod(value * d - 2 * b, 2 * a)
        threshold = quotient + (1 if remainder or odd[index] else 0)
        result[index] = min(max(threshold, -LARGEST_SUM), LARGEST_SUM)
    return result


def real_product(x_scale: float, w_scale: Float64Array) -> list[Fraction]:
    """Exact products of float32 scales."""
    return [Fraction(x_scale) * Fraction(float(w)) for w in w_scale]

"""FULLY_CONNECTED's requantisation in LiteRT 2.3: one product in float64, one rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    MAX_SHIFT,
    Float64Array,
    Int32Array,
    Int64Array,
    IntegerArray,
    quantize_multiplier,
    wrap_int32,
)
from tinycompile.numerics.requant import UNREACHABLE, BoolArray, TfliteRequant, is_step_function, smallest_true

_LARGEST_FIXED_POINT = 2.0 ** (MAX_SHIFT - 1)
"""Larger scales have no fixed-point form, nor accumulators but 0 to need one."""

_NUDGES = (0, 1, -1, 2, -2, 3, -3, 4, -4)


@dataclass(frozen=True, eq=False)
class RoundedProductRequant:
    """clamp(int32(round(float64(acc) * scale)) + zero_point), halves away from zero.

    The product itself is rounded to float64, which decides where it lands next to a tie. Beyond int32 the conversion
    gives INT32_MIN, and the sum wraps: C++ leaves it undefined, LiteRT does so on x86-64.

    Attributes:
        scale: float64 per channel, finite and not negative.
        low, high: the clamp: the range of the output type, narrowed by a fused activation.
    """

    scale: Float64Array
    zero_point: int
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.scale.ndim != 1 or self.scale.dtype != np.float64:
            raise ValueError("scale must be a float64 vector")
        if not np.all(np.isfinite(self.scale)) or np.any(self.scale < 0):
            raise ValueError("scales must be finite and not negative")

    @property
    def channels(self) -> int:
        return self.scale.size

    def take(self, channels: IntegerArray) -> RoundedProductRequant:
        """The rule of some channels."""
        return replace(self, scale=self.scale[channels])

    def real_scale(self) -> Float64Array:
        return self.scale

    def apply(self, acc: IntegerArray) -> Int32Array:
        """The outputs of accumulators of shape (..., C)."""
        product = acc.astype(np.int32) * self.scale
        whole = np.trunc(product)
        rounded = whole + np.trunc(2 * (product - whole))
        inside = (rounded >= INT32_MIN) & (rounded <= INT32_MAX)
        converted = np.where(inside, rounded, INT32_MIN).astype(np.int64)
        return np.clip(wrap_int32(converted + self.zero_point), self.low, self.high).astype(np.int32)

    @property
    def domain(self) -> tuple[Int64Array, Int64Array]:
        """Where the product and its sum with the zero point stay in int32."""
        with np.errstate(divide="ignore", over="ignore"):
            reach = np.minimum(np.floor((2.0**31 - 1024) / self.scale), INT32_MAX).astype(np.int64)
        return np.where(reach == INT32_MAX, INT32_MIN, -reach), reach

    def thresholds(self) -> Int64Array:
        """By bisection on the product: a negative tie goes down, so there the next float64 is the first to go up."""
        distinct, index = np.unique(self.scale, return_inverse=True)
        steps = np.arange(self.low + 1, self.high + 1) - self.zero_point
        tie = steps - 0.5
        product = np.where(tie < 0, np.nextafter(tie, np.inf), tie)
        scale = distinct[:, None]
        with np.errstate(divide="ignore", over="ignore"):
            guess = np.clip(tie / scale, INT32_MIN - 1, UNREACHABLE)
        return smallest_true(lambda acc: acc * scale >= product, guess)[index]

    @cached_property
    def fixed_point(self) -> TfliteRequant:
        """The rule in integers: a 31-bit multiplier, one rounding, halves upwards.

        A slope that is larger by next to nothing sends halves away from zero on both sides of it. A channel whose
        thresholds none of the nearest multipliers has, which takes a scale below 1e-4, gets the nearest one: see
        `is_fixed_point`.
        """
        distinct, index = np.unique(self.scale, return_inverse=True)
        wanted = RoundedProductRequant(distinct, self.zero_point, self.low, self.high).thresholds()
        nominal, shift = quantize_multiplier(np.minimum(distinct, _LARGEST_FIXED_POINT))
        best, found = nominal.copy(), np.zeros(distinct.shape, np.bool_)
        for nudge in _NUDGES:
            multiplier = np.clip(nominal.astype(np.int64) + nudge, 0, INT32_MAX).astype(np.int32)
            hit = np.all(self._integers(multiplier, shift).thresholds() == wanted, axis=1) & ~found
            best, found = np.where(hit, multiplier, best), found | hit
        return self._integers(best[index], shift[index])

    def is_fixed_point(self, acc_min: Int64Array, acc_max: Int64Array) -> BoolArray:
        """Per channel, whether `fixed_point` is this rule for every accumulator in [acc_min, acc_max]."""

        def reached(rule: RoundedProductRequant | TfliteRequant) -> Int64Array:
            return np.clip(rule.thresholds(), acc_min[:, None], acc_max[:, None] + 1)

        same = np.all(reached(self) == reached(self.fixed_point), axis=1)
        inside = (is_step_function(rule, acc_min, acc_max) for rule in (self, self.fixed_point))
        return same & np.all(list(inside), axis=0)

    @property
    def multiplier(self) -> Int32Array:
        """Of `fixed_point`."""
        return self.fixed_point.multiplier

    @property
    def shift(self) -> Int32Array:
        """Of `fixed_point`."""
        return self.fixed_point.shift

    def _integers(self, multiplier: Int32Array, shift: Int32Array) -> TfliteRequant:
        return TfliteRequant(multiplier, shift, self.zero_point, self.low, self.high, single_rounding=True)

"""Requantisation rules: how a source framework turns an int32 accumulator into an int8 or uint8 output.

A rule is, per channel, a monotone step function from the accumulator (bias included) to [low, high]. So
high - low thresholds describe it fully, and any formula with the same thresholds *is* the rule.

That holds on the rule's `domain`. Beyond it 32-bit arithmetic wraps in the source framework, so the output jumps from
one end of the range to the other; only the definition itself computes that (`is_step_function` asks).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Float64Array,
    Int32Array,
    Int64Array,
    IntegerArray,
    multiply_by_quantized_multiplier,
    wrap_int32,
)

Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

UNREACHABLE = 2**31
"""The threshold of an output that no int32 accumulator attains."""

RECENT_RULES = 8
"""Rules whose thresholds are kept: a layer's kernels ask for them one after the other, and 255 numbers for each channel
of a model would stay."""

_ZERO_POINT_ROOM = 512
"""A result that stays so far inside int32 doesn't wrap when a zero point is added."""


class Requant(Protocol):
    """What the solver and the kernels need to know about a rule."""

    @property
    def zero_point(self) -> int: ...
    @property
    def low(self) -> int: ...
    @property
    def high(self) -> int: ...
    @property
    def channels(self) -> int: ...

    def real_scale(self) -> Float64Array:
        """The slope per channel, shape (C,): output ~ accumulator * real_scale + zero_point."""
        ...

    def apply(self, acc: IntegerArray) -> Int32Array:
        """The outputs of accumulators of shape (..., C), which may lie beyond int32."""
        ...

    def take(self, channels: IntegerArray) -> Requant:
        """The rule of some channels."""
        ...

    @property
    def domain(self) -> tuple[Int64Array, Int64Array]:
        """The lowest and the highest accumulator of the rule's step function, per channel."""
        ...

    def thresholds(self) -> Int64Array:
        """Shape (C, high - low): entry k - low - 1 is the smallest accumulator of the domain with apply(acc) >= k.

        `UNREACHABLE` where there is none.
        """
        ...


def is_step_function(rule: Requant, acc_min: Int64Array, acc_max: Int64Array) -> BoolArray:
    """Per channel, whether the rule is described by its thresholds for all accumulators in [acc_min, acc_max]."""
    low, high = rule.domain
    return (acc_min >= low) & (acc_max <= high)


def has_one_output(rule: Requant, acc_min: Int64Array, acc_max: Int64Array) -> BoolArray:
    """Per channel, whether all accumulators in [acc_min, acc_max] have the same output; False if that isn't known."""
    same = rule.apply(acc_min) == rule.apply(acc_max)
    return (acc_min == acc_max) | (is_step_function(rule, acc_min, acc_max) & same)


@dataclass(frozen=True, eq=False)
class TfliteRequant:
    """TFLite's rule: clamp(MultiplyByQuantizedMultiplier(acc) + zero_point), with double or single rounding.

    LiteRT 2.3's reference kernels round twice: by the high product, then by the shift. Single rounding, of the 64-bit
    product, halves upwards, is TFLite's other build; FULLY_CONNECTED's rule (`rounded_product`) comes down to it.

    The accumulator, TFLite's left shift (a factor above 1) and the sum with the zero point wrap at 32 bits, as the
    reference's do where it runs. With single rounding, which is only used inside the domain, nothing wraps.

    Attributes:
        multiplier, shift: per channel, as `quantize_multiplier` makes them; MEAN's multipliers may be smaller.
        low, high: the clamp: the range of the output type, narrowed by a fused activation.
        single_rounding: whether the product is rounded once.
    """

    multiplier: Int32Array
    shift: Int32Array
    zero_point: int
    low: int
    high: int
    single_rounding: bool = False

    def __post_init__(self) -> None:
        if self.multiplier.ndim != 1 or self.multiplier.shape != self.shift.shape:
            raise ValueError("multiplier and shift must be vectors of the same length")
        if np.any(self.multiplier < 0):
            raise ValueError("a multiplier must not be negative")
        if np.any(self.shift < -31) or np.any(self.shift > 30):
            raise ValueError("a shift must be in [-31, 30]")
        _check_output_range(self.zero_point, self.low, self.high)

    @property
    def channels(self) -> int:
        return self.multiplier.size

    def take(self, channels: IntegerArray) -> TfliteRequant:
        """The rule of some channels."""
        return replace(self, multiplier=self.multiplier[channels], shift=self.shift[channels])

    def real_scale(self) -> Float64Array:
        return np.ldexp(self.multiplier.astype(np.float64), self.shift - 31)

    def apply(self, acc: IntegerArray) -> Int32Array:
        wrapped = acc.astype(np.int32)
        if self.single_rounding:
            return self._apply_once(wrapped)
        scaled = multiply_by_quantized_multiplier(wrapped, self.multiplier, self.shift)
        return np.clip(wrap_int32(scaled + self.zero_point), self.low, self.high).astype(np.int32)

    def _apply_once(self, acc: Int32Array) -> Int32Array:
        low, high = self.domain
        total = 31 - self.shift.astype(np.int64)
        product = np.clip(acc.astype(np.int64), low, high) * self.multiplier.astype(np.int64)
        scaled = (product + (np.int64(1) << (total - 1))) >> total
        return np.clip(scaled + self.zero_point, self.low, self.high).astype(np.int32)

    @property
    def domain(self) -> tuple[Int64Array, Int64Array]:
        """Where neither the left shift nor, since the result is no larger than what was shifted, the sum wraps."""
        shift = self.shift.astype(np.int64)
        return _symmetric(np.where(shift < 0, INT32_MAX, (INT32_MAX - _ZERO_POINT_ROOM) >> np.maximum(shift, 0)))

    def thresholds(self) -> Int64Array:
        return self._thresholds()

    @lru_cache(RECENT_RULES)  # noqa: B019 - a few rules live a little longer
    def _thresholds(self) -> Int64Array:
        """In closed form.

        With k' = k - zero_point. Double rounding: RoundingDivideByPOT by 2^r sends the high product v to k' or more iff
        v >= T = k' 2^r - 2^(r-1), plus 1 for k' <= 0, since halves go away from zero; T = k' if r = 0.
        And v = floor((acc * 2^left * multiplier + 2^30) / 2^31). Single rounding: acc * multiplier must reach
        k' 2^(31-shift) - 2^(30-shift).
        """
        if self.single_rounding:
            return _shared(self._single_thresholds())
        steps = np.arange(self.low + 1, self.high + 1, dtype=np.int64) - self.zero_point
        left = np.maximum(self.shift, 0).astype(np.int64)[:, None]
        right = np.maximum(-self.shift, 0).astype(np.int64)[:, None]
        half = (np.int64(1) << right) >> 1
        high_product = (steps << right) - half + ((steps <= 0) & (right > 0))
        bounded = np.clip(high_product, INT32_MIN - 1, INT32_MAX + 1)
        slope = self.multiplier.astype(np.int64)[:, None] << left
        threshold = -((2**30 - (bounded << 31)) // np.maximum(slope, 1))
        flat = np.where(high_product <= 0, INT32_MIN, UNREACHABLE)
        return _shared(self._within_defined(np.where(slope == 0, flat, threshold)))

    def _single_thresholds(self) -> Int64Array:
        odd = 2 * (np.arange(self.low + 1, self.high + 1, dtype=np.int64) - self.zero_point) - 1
        half_exponent = 30 - self.shift.astype(np.int64)[:, None]
        limit = np.int64(2**62) >> half_exponent
        product = np.where(np.abs(odd) > limit, np.sign(odd) * 2**62, np.clip(odd, -limit, limit) << half_exponent)
        slope = self.multiplier.astype(np.int64)[:, None]
        threshold = -(-product // np.maximum(slope, 1))
        flat = np.where(odd <= 0, INT32_MIN, UNREACHABLE)
        return self._within_defined(np.where(slope == 0, flat, threshold))

    def _within_defined(self, threshold: Int64Array) -> Int64Array:
        """What isn't reached inside the domain isn't reached."""
        low, high = self.domain
        above, below = threshold > high[:, None], threshold <= low[:, None]
        return np.select([above, below], [np.int64(UNREACHABLE), np.int64(INT32_MIN)], threshold)


@dataclass(frozen=True, eq=False)
class OnnxRequant:
    """ONNX's rule: saturate(round_half_even(float(acc) * scale) + zero_point).

    float(acc) and the product are each rounded to `precision` (to nearest, ties to even); rounding to an
    integer comes before the zero point is added, as in QuantizeLinear.

    "float32" is what ONNX Runtime's integer kernels compute. It is not linear: a product near 128 is off by
    up to 2^-18, which is a good part of an accumulator step if the scale is small. "float64" is exact for
    |acc| < 2^29, so it is the mathematical rule; the `onnx` reference evaluator's QLinearConv and
    QLinearMatMul compute it, except that they round after they have added the zero point, which tells where
    the product is an exact tie and the zero point is odd.

    Attributes:
        scale: float32 per channel, positive and normal; for a matrix product from `product_scale`.
    """

    scale: Float32Array
    zero_point: int
    low: int
    high: int
    precision: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if self.scale.ndim != 1 or self.scale.dtype != np.float32:
            raise ValueError("scale must be a float32 vector")
        if not np.all(np.isfinite(self.scale)) or np.any(self.scale < np.finfo(np.float32).tiny):
            raise ValueError("scales must be positive, normal and finite")
        _check_output_range(self.zero_point, self.low, self.high)

    @staticmethod
    def product_scale(x_scale: float, w_scale: Float32Array, y_scale: float) -> Float32Array:
        """The scale of a quantised matrix product: x_scale * w_scale / y_scale, in float32, left to right."""
        return np.float32(x_scale) * np.atleast_1d(w_scale) / np.float32(y_scale)

    @property
    def channels(self) -> int:
        return self.scale.size

    def take(self, channels: IntegerArray) -> OnnxRequant:
        """The rule of some channels."""
        return replace(self, scale=self.scale[channels])

    def real_scale(self) -> Float64Array:
        return self.scale.astype(np.float64)

    @property
    def domain(self) -> tuple[Int64Array, Int64Array]:
        """Floats don't wrap: all of int32."""
        return _symmetric(np.full(self.channels, INT32_MAX, np.int64))

    def apply(self, acc: IntegerArray) -> Int32Array:
        rounded = np.rint(acc.astype(self.precision) * self.scale.astype(self.precision))
        relative = np.clip(rounded, self.low - self.zero_point, self.high - self.zero_point)
        return relative.astype(np.int32) + np.int32(self.zero_point)

    def thresholds(self) -> Int64Array:
        return self._thresholds()

    @lru_cache(RECENT_RULES)  # noqa: B019 - a few rules live a little longer
    def _thresholds(self) -> Int64Array:
        """By bisection on the product, near where it would be without float rounding.

        The product rounds to k' = k - zero_point or more iff it is >= k' - 1/2. That itself is a tie, which
        goes to k' only if k' is even; else the product must be at least the next float.
        """
        steps = np.arange(self.low + 1, self.high + 1) - self.zero_point
        half_below = (steps - 0.5).astype(self.precision)
        above_half = np.nextafter(half_below, half_below.dtype.type(np.inf))
        product = np.where(steps % 2 == 0, half_below, above_half)
        scale = self.scale.astype(self.precision)[:, None]
        guess = np.clip((steps - 0.5) / self.real_scale()[:, None], INT32_MIN - 1, UNREACHABLE)
        return _shared(smallest_true(lambda acc: acc.astype(scale.dtype) * scale >= product, guess))


def smallest_true(holds: Callable[[Int64Array], BoolArray], guess: Float64Array) -> Int64Array:
    """The smallest int32 at which the monotone predicate holds, elementwise; `UNREACHABLE` if it never does.

    Bisection that starts around `guess`, or from all of int32 where the answer is not near it.
    """
    radius = np.abs(guess) * 2.0**-20 + 2
    below = np.maximum(np.floor(guess - radius), INT32_MIN - 1).astype(np.int64)
    above = np.minimum(np.ceil(guess + radius), UNREACHABLE).astype(np.int64)
    below = np.where((below >= INT32_MIN) & holds(below), INT32_MIN - 1, below)
    above = np.where((above <= INT32_MAX) & ~holds(above), UNREACHABLE, above)
    while np.any(above - below > 1):
        middle = (below + above + 1) >> 1
        true = holds(middle)
        above, below = np.where(true, middle, above), np.where(true, below, middle)
    return above


def _shared(thresholds: Int64Array) -> Int64Array:
    """As they are kept for every later caller: nobody may change them."""
    thresholds.setflags(write=False)
    return thresholds


def _symmetric(high: Int64Array) -> tuple[Int64Array, Int64Array]:
    """[-high, high], or all of int32."""
    return np.where(high == INT32_MAX, INT32_MIN, -high), high


def _check_output_range(zero_point: int, low: int, high: int) -> None:
    if not (-32768 <= low <= high <= 32767):
        raise ValueError(f"[{low}, {high}] is not a range of int8, uint8 or int16")
    if not -128 <= zero_point <= 255:
        raise ValueError(f"the zero point {zero_point} is neither int8 nor uint8, nor int16's 0")

"""int8 as TFLite means it: LiteRT's fixed-point arithmetic, which its reference kernels define bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    exp_on_negative_values,
    get_reciprocal,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from tinycompile.numerics.fixed_point import tanh as fixed_tanh

# Functions of one value.


def tabulated(function: Callable[[Array], Array], sig: Signature, x: Array) -> Array:
    """clamp(round(f(scale * (q - zero_point)) / output scale) + zero point of the output), all in float32: what fills
    the table of a function that LiteRT knows in floats only (`PopulateLookupTable`). int8 to int8.
    """
    centred = (x.astype(np.int32) - sig.input.zero_point).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        transformed = function(np.float32(sig.input.scale) * centred).astype(np.float32)
        rescaled = transformed * (np.float32(1) / np.float32(sig.output.scale))
    # std::round: halves away from zero; exact in float64.
    rounded = np.copysign(np.floor(np.abs(rescaled.astype(np.float64)) + 0.5), rescaled)
    # As `wide_table.sampled`: x86 makes 0 of a NaN, such as infinity times 0 of scales near the ends of float32.
    clipped = np.clip(rounded + sig.output.zero_point, -128, 127)
    return np.where(np.isnan(clipped), 0, clipped).astype(np.int8)


_TANH_INTEGER_BITS, _TANH_FRACTION = 4, 7


def tanh(x: TensorType, values: Array) -> Array:
    """TFLM's int8 TANH (`integer_ops/tanh.h`): int8 values of type `x` to int8 of scale 1/128."""
    (multiplier,), (shift,) = quantize_multiplier(np.array([x.scale * 2.0 ** (31 - _TANH_INTEGER_BITS)]), 31)
    largest = (2**_TANH_INTEGER_BITS - 1) * 2.0 ** (31 - _TANH_INTEGER_BITS) / 2.0**shift
    centred = values.astype(np.int64) - x.zero_point
    inside = np.abs(centred) < np.floor(largest)
    scaled = multiply(np.where(inside, centred, 0), (int(multiplier), int(shift)))
    result = rounding_divide_by_pot(fixed_tanh(scaled), 31 - _TANH_FRACTION)
    return np.clip(np.where(inside, result, np.where(centred < 0, -128, 127)), -128, 127).astype(np.int8)


# Sums and differences.

LEFT_SHIFT, WIDE_LEFT_SHIFT = 20, 15
"""Of int8 and of int16 operands."""


@dataclass(frozen=True)
class SumParameters:
    """Fixed-point parameters as in TFLite's `ArithmeticParams`; every shift is <= 0.

    LiteRT aborts where ADD's last factor is 1 or more; SUB's shift is then undefined in C++, and outputs are all 1.

    out = zero_point + mul(mul((a - za) << left_shift, first) +- mul((b - zb) << left_shift, second), output)
    with mul(x, (m, s)) = MultiplyByQuantizedMultiplier(x, m, s).
    """

    left_shift: int
    first: tuple[int, int]
    second: tuple[int, int]
    output: tuple[int, int]

    @staticmethod
    def of(a_scale: float, b_scale: float, y_scale: float, left_shift: int = LEFT_SHIFT) -> SumParameters:
        """`PrepareGeneralSubOp` and its twin in add.cc. Raises ValueError where LiteRT refuses the scales."""
        twice_larger = 2 * max(a_scale, b_scale)
        reals = np.array([a_scale / twice_larger, b_scale / twice_larger, twice_larger / (2.0**left_shift * y_scale)])
        if not np.all((reals > 0) & (reals < 1)):
            raise ValueError("the output scale is too small for the input scales")
        multipliers, shifts = quantize_multiplier(reals)
        if np.any(shifts > 0):
            raise ValueError("the output scale is too small for the input scales")
        first, second, output = zip(multipliers.tolist(), shifts.tolist(), strict=True)
        return SumParameters(left_shift, first, second, output)


def multiply(x: Array, factor: tuple[int, int]) -> Array:
    """MultiplyByQuantizedMultiplier with a scalar (multiplier, shift)."""
    return multiply_by_quantized_multiplier(x, np.array(factor[0]), np.array(factor[1]))


# Softmax.

_DIFF_INTEGER_BITS = 5
_SUM_INTEGER_BITS = 12
MAX_DEPTH = (1 << _SUM_INTEGER_BITS) - 1
"""More elements may overflow the sum of exponentials, a fixed-point number with 12 integer bits."""


@dataclass(frozen=True)
class SoftmaxParameters:
    """exp's argument is mul_high((x - max) << shift, multiplier) with 5 integer bits; below diff_min, exp is 0."""

    multiplier: int
    shift: int
    diff_min: int

    @staticmethod
    def of(beta: float, scale: float) -> SoftmaxParameters:
        """`PreprocessSoftmaxScaling` and `CalculateInputRadius`. Raises ValueError where LiteRT refuses."""
        real = min(beta * scale * 2.0 ** (31 - _DIFF_INTEGER_BITS), INT32_MAX)
        if not real > 1:
            raise ValueError("beta times the input scale is too small")
        (multiplier,), (shift,) = (part.tolist() for part in quantize_multiplier(np.array([real]), 31))
        largest = (2**_DIFF_INTEGER_BITS - 1) * 2 ** (31 - _DIFF_INTEGER_BITS)
        return SoftmaxParameters(multiplier, shift, -(largest >> shift))

    def exponentials(self) -> Array:
        """int32, shape (256,): entry d is exp(-d * beta * scale) as a fixed-point number without integer bits."""
        diff = -np.arange(256)
        inside = np.where(diff >= self.diff_min, diff, 0)
        scaled = saturating_rounding_doubling_high_mul(inside << self.shift, self.multiplier)
        return np.where(diff >= self.diff_min, exp_on_negative_values(scaled), 0).astype(np.int32)


def softmax(parameters: SoftmaxParameters, x: Array) -> Array:
    """Over the last axis: int8 to int8 of scale 1/256 and zero point -128."""
    wide = x.astype(np.int64)
    exponential = parameters.exponentials()[wide.max(axis=-1, keepdims=True) - wide].astype(np.int64)
    total = rounding_divide_by_pot(exponential, _SUM_INTEGER_BITS).sum(axis=-1, keepdims=True)
    scale, bits_over_unit = get_reciprocal(total, _SUM_INTEGER_BITS)
    product = saturating_rounding_doubling_high_mul(scale, exponential)
    probability = rounding_divide_by_pot(product, bits_over_unit + 31 - 8)
    return np.clip(probability - 128, -128, 127).astype(np.int8)

"""int8 and int16 as ONNX means them: dequantised, computed in float32, quantised (DequantizeLinear, QuantizeLinear)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from math import frexp

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.wide_requant import high_product

EXPONENT_BITS = 30
"""exp(0) is 2^30."""
MAX_DEPTH = 1 << 12
"""Of a softmax."""
_FACTOR_BITS = 30
_DIGITS = 30
"""In which exponentials of int16 distances are computed."""
_POWER_BITS = 62
"""Of these in tables,"""
_DROPPED_BITS = 14
"""so many of which their products lose, which have 60: sums of 4,096 then leave three bits of 62."""
_SUM_SHIFT = 3
_MOST_SHIFT = 16
LEAST_SCALE = 2.0**-24
"""Of int16 results of a softmax: the divisor still has 30 bits."""

NO_NUMBER = -(2**40)
"""In place of a NaN: less than any result."""


def pair(function: Callable[[Array, Array], Array], sig: Signature, a: Array, b: Array) -> Array:
    """A function of two operands minus their zero points (int64); int64, before the clamp, `NO_NUMBER` for a NaN.

    Every operation is rounded to float32, as the specification's operators are; the quotient by the output's scale goes
    to the nearest integer, halves to even.
    """
    first, second = (x.astype(np.float32) * np.float32(t.scale) for x, t in zip((a, b), sig.inputs, strict=True))
    with np.errstate(all="ignore"):
        return steps(function(first, second), sig.output)


def steps(numbers: Array, y: TensorType) -> Array:
    """float32 to int64, before the clamp, `NO_NUMBER` for a NaN."""
    with np.errstate(all="ignore"):
        quotient = numbers / np.float32(y.scale)
    # Beyond int32 the specification leaves the conversion open.
    bounded = np.nan_to_num(np.clip(np.rint(quotient).astype(np.float64), -1e9, 1e9), nan=NO_NUMBER)
    return bounded.astype(np.int64) + y.zero_point


def has_no_number(sig: Signature) -> str | None:
    """Why a result of two operands might be NaN although nothing is divided: they stand for infinity."""
    with np.errstate(over="ignore"):
        numbers = [np.float32(n - t.zero_point) * np.float32(t.scale) for t in sig.inputs for n in t.dtype.range]
    infinite = bool(np.isinf(numbers).any())
    return "numbers of an operand are infinite in float32" if infinite else None


@dataclass(frozen=True, eq=False)
class SoftmaxForm:
    """Softmax in integers: round(E / S / output scale), halves upwards, where E(d) = round(2^30 exp(-d * input scale))
    for the distance d to the largest input, and S is the sum of E.

    It differs from the real number's rounding only where that is within 10^-6 of a tie.

    Attributes:
        factor, kept, drop: 1 / output scale ~ factor * 2^-(kept + drop). Products with the factor are shifted by
            `drop`, the sum is multiplied by 2^kept.
        exponentials: int32 (256,): E(d).
    """

    factor: int
    kept: int
    drop: int
    exponentials: Array

    @staticmethod
    def of(beta: float, sig: Signature) -> SoftmaxForm:
        real = 1.0 / sig.output.scale
        _, exponent = np.frexp(real)
        shift = int(np.clip(_FACTOR_BITS - exponent, 0, 40))
        kept = min(shift, 20)
        exponentials = np.rint(2.0**EXPONENT_BITS * np.exp(-np.arange(256) * (beta * sig.input.scale)))
        return SoftmaxForm(min(round(real * 2.0**shift), 2**31 - 1), kept, shift - kept, exponentials.astype(np.int32))


@dataclass(frozen=True, eq=False)
class WideSoftmaxForm:
    """Softmax of int16 in integers: round(2^shift E / D), halves upwards, where E(d) = 2^46 exp(-d * input scale) for
    the distance d = 256 i + j to the largest input is the product of coarse[i] and fine[j], and D is the sum of E times
    the output's scale and 2^shift.

    It differs from the real number's rounding only where that is within 10^-8 of a tie.

    Attributes:
        coarse, fine: int64 (256,): 2^62 exp(-256 i * input scale), 2^62 exp(-j * input scale).
        factor: int64: the output's scale times 2^(61 + shift).
    """

    coarse: Array
    fine: Array
    factor: int
    shift: int

    @staticmethod
    def of(beta: float, sig: Signature) -> WideSoftmaxForm:
        step, scale = beta * sig.input.scale, sig.output.scale
        shift = min(_MOST_SHIFT, max(0, -frexp(scale)[1]))
        coarse, fine = _powers(256 * step), _powers(step)
        return WideSoftmaxForm(coarse, fine, round(scale * 2.0 ** (_POWER_BITS - 1 + shift)), shift)


def _powers(step: float) -> Array:
    """int64 (256,): 2^62 exp(-i * step)."""
    exact = Context(prec=_DIGITS)
    powers = (exact.exp(-i * Decimal(step)) for i in range(256))
    return np.array([int(exact.multiply(power, 1 << _POWER_BITS).to_integral_value()) for power in powers], np.int64)


def wide_softmax(form: WideSoftmaxForm, zero_point: int, x: Array) -> Array:
    """Over the last axis: int16 to int16 of this zero point."""
    wide = x.astype(np.int64)
    distance = wide.max(axis=-1, keepdims=True) - wide
    powers = high_product(form.coarse[distance >> 8], form.fine[distance & 0xFF]) >> _DROPPED_BITS
    divisor = np.maximum(high_product(powers.sum(axis=-1, keepdims=True) << _SUM_SHIFT, np.array(form.factor)), 1)
    rounded = ((powers << form.shift).astype(np.uint64) + (divisor.astype(np.uint64) >> 1)) // divisor.astype(np.uint64)
    outputs = np.minimum(rounded, np.uint64(1 << 20)).astype(np.int64) + zero_point
    return np.clip(outputs, *INT16.range).astype(np.int16)


def softmax(form: SoftmaxForm, zero_point: int, x: Array) -> Array:
    """Over the last axis: int8 to int8 of this zero point."""
    wide = x.astype(np.int64)
    exponential = form.exponentials.astype(np.uint64)[wide.max(axis=-1, keepdims=True) - wide]
    factor, kept, drop = (np.uint64(number) for number in (form.factor, form.kept, form.drop))
    total = exponential.sum(axis=-1, keepdims=True) << kept
    rounded = (((exponential * factor) >> drop) + (total >> np.uint64(1))) // total
    outputs = np.minimum(rounded, np.uint64(1 << 20)).astype(np.int64) + zero_point
    return np.clip(outputs, -128, 127).astype(np.int8)

"""int8 as ONNX means it: dequantised, computed in float32, quantised (onnx.ai, DequantizeLinear and QuantizeLinear)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Signature

EXPONENT_BITS = 30
"""exp(0) is 2^30."""
MAX_DEPTH = 1 << 12
"""Of a softmax."""
_FACTOR_BITS = 30


NO_NUMBER = -(2**40)
"""In place of a NaN: less than any result."""


def pair(function: Callable[[Array, Array], Array], sig: Signature, a: Array, b: Array) -> Array:
    """A function of two operands minus their zero points (int64); int64, before the clamp, `NO_NUMBER` for a NaN.

    Every operation is rounded to float32, as the specification's operators are; the quotient by the output's scale goes
    to the nearest integer, halves to even.
    """
    first, second = (x.astype(np.float32) * np.float32(t.scale) for x, t in zip((a, b), sig.inputs, strict=True))
    with np.errstate(all="ignore"):
        quotient = function(first, second) / np.float32(sig.output.scale)
    # Beyond int32 the specification leaves the conversion open.
    bounded = np.nan_to_num(np.clip(np.rint(quotient).astype(np.float64), -1e9, 1e9), nan=NO_NUMBER)
    return bounded.astype(np.int64) + sig.output.zero_point


def has_no_number(sig: Signature) -> str | None:
    """Why a result of two int8 operands might be NaN although nothing is divided: they stand for infinity."""
    ends = ((127 - t.zero_point, -128 - t.zero_point, t.scale) for t in sig.inputs)
    with np.errstate(over="ignore"):
        infinite = any(np.isinf(np.float32(n) * np.float32(scale)) for *both, scale in ends for n in both)
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


def softmax(form: SoftmaxForm, zero_point: int, x: Array) -> Array:
    """Over the last axis: int8 to int8 of this zero point."""
    wide = x.astype(np.int64)
    exponential = form.exponentials.astype(np.uint64)[wide.max(axis=-1, keepdims=True) - wide]
    factor, kept, drop = (np.uint64(number) for number in (form.factor, form.kept, form.drop))
    total = exponential.sum(axis=-1, keepdims=True) << kept
    rounded = (((exponential * factor) >> drop) + (total >> np.uint64(1))) // total
    outputs = np.minimum(rounded, np.uint64(1 << 20)).astype(np.int64) + zero_point
    return np.clip(outputs, -128, 127).astype(np.int8)

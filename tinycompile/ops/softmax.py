"""Softmax over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    exp_on_negative_values,
    get_reciprocal,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from tinycompile.ops._elementwise import Elementwise
from tinycompile.ops._rules import first_reason, invalid, not_quantized

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


@dataclass(frozen=True)
class Softmax(Elementwise):
    """int8, over the last axis of at most 4095 elements; the output has scale 1/256 (within a thousandth) and zero
    point -128.

    Attributes:
        beta: factor of the input.
    """

    kind: ClassVar[str] = "softmax"

    beta: float = 1.0

    def parameters(self, sig: Signature) -> SoftmaxParameters:
        return SoftmaxParameters.of(self.beta, sig.input.scale)

    def exponentials(self, sig: Signature) -> Array:
        """int32, shape (256,): entry d is exp(-d * beta * scale) as a fixed-point number without integer bits."""
        p = self.parameters(sig)
        diff = -np.arange(256)
        scaled = saturating_rounding_doubling_high_mul(np.where(diff >= p.diff_min, diff, 0) << p.shift, p.multiplier)
        return np.where(diff >= p.diff_min, exp_on_negative_values(scaled), 0).astype(np.int32)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0].astype(np.int64)
        distance = x.max(axis=-1, keepdims=True) - x
        exponential = self.exponentials(sig)[distance].astype(np.int64)
        total = rounding_divide_by_pot(exponential, _SUM_INTEGER_BITS).sum(axis=-1, keepdims=True)
        scale, bits_over_unit = get_reciprocal(total, _SUM_INTEGER_BITS)
        product = saturating_rounding_doubling_high_mul(scale, exponential)
        probability = rounding_divide_by_pot(product, bits_over_unit + 31 - 8)
        return (np.clip(probability - 128, -128, 127).astype(np.int8),)

    def unsupported(self, sig: Signature) -> str | None:
        depth = sig.input.shape[-1] if sig.input.shape else 0
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                None if 0 < depth <= MAX_DEPTH else f"the last axis has {depth} elements, supported is {MAX_DEPTH}",
                _wrong_output(sig),
                invalid(lambda: self.parameters(sig)),
            )
        )


def _wrong_output(sig: Signature) -> str | None:
    """`SoftmaxPrepare` compares in float32, and computes with 1/256 all the same."""
    y = sig.output
    if y.quant is None or not y.quant.is_per_tensor:
        return None
    difference = abs(np.float32(y.scale) - np.float32(1 / 256))
    if difference > np.float32(0.001) / np.float32(256) or y.zero_point != -128:
        return f"the output has scale {y.scale} and zero point {y.zero_point}, supported is 1/256 and -128"
    return None

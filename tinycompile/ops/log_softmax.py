"""Logarithm of softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Whole
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_logarithm import OUTPUT_BITS, logarithm_from_1
from tinycompile.numerics.fixed_point import (
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from tinycompile.ops._arithmetic import real
from tinycompile.ops._arithmetic.tflite import MAX_DEPTH, SoftmaxParameters, multiply
from tinycompile.ops._elementwise import AlongChannels
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._typed import Meaning, Meanings, Typed

SCALE, ZERO_POINT = 1 / 16, 127
"""Of an int8 output, which LiteRT demands."""
DROPPED_BITS = 31 - OUTPUT_BITS - 4
"""From an exponent with five integer bits to a sixteenth."""


@dataclass(frozen=True)
class LogSoftmax(AlongChannels, Typed):
    """Over the last axis. int8, at most 4095 elements, where the output has scale 1/16 and zero point 127; float32."""

    kind: ClassVar[str] = "log_softmax"

    def access(self, sig: Signature, operand: int) -> Access:
        return Whole()

    def meanings(self) -> Meanings:
        return {INT8: Meaning(self._integers, self._refused), FLOAT32: real.meaning(self.real)}

    def real(self, x: Array) -> Array:
        wide = x.astype(np.float64)
        shifted = wide - wide.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))

    def parameters(self, sig: Signature) -> SoftmaxParameters:
        """Raises ValueError where LiteRT refuses the scale."""
        return SoftmaxParameters.of(1.0, sig.input.scale)

    def exponents(self, sig: Signature) -> Array:
        """int32, shape (256,): entry d is -d * scale with five integer bits, where it counts in sums; 0 elsewhere."""
        p, diff = self.parameters(sig), -np.arange(256)
        inside = np.where(diff >= p.diff_min, diff, 0)
        return multiply(inside, (p.multiplier, p.shift)).astype(np.int32)

    def reverse(self, sig: Signature) -> tuple[int, int]:
        """(multiplier, shift) from an exponent with five integer bits to a distance (`PreprocessLogSoftmaxScaling`)."""
        p = self.parameters(sig)
        (multiplier,), (shift,) = (
            part.tolist() for part in quantize_multiplier(np.array([2.0 ** (31 - p.shift) / p.multiplier]))
        )
        return multiplier, shift

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """`reference_integer_ops::LogSoftmax`."""
        p, exponents = self.parameters(sig), self.exponents(sig).astype(np.int64)
        x = inputs[0].astype(np.int64)
        distance = x.max(axis=-1, keepdims=True) - x
        total = np.where(-distance >= p.diff_min, rounding_divide_by_pot(p.exponentials()[distance], 12), 0)
        logarithm = logarithm_from_1(total.sum(axis=-1, keepdims=True))
        multiplier, shift = (np.array(part) for part in self.reverse(sig))
        farthest = multiply_by_quantized_multiplier(logarithm + INT32_MIN, multiplier, shift)
        outputs = rounding_divide_by_pot(exponents[distance] - logarithm, DROPPED_BITS) + ZERO_POINT
        inside = -distance > np.maximum(p.diff_min - 1, farthest)
        return (np.where(inside, np.clip(outputs, -128, 127), -128).astype(np.int8),)

    def _refused(self, sig: Signature) -> str | None:
        y, depth = sig.output, sig.input.shape[-1]
        reason = first_reason((not_quantized(sig.input, "the input"), not_quantized(y, "the output")))
        if reason is not None:
            return reason
        if (y.scale, y.zero_point) != (SCALE, ZERO_POINT):
            return f"the output has scale {y.scale} and zero point {y.zero_point}, supported are 1/16 and 127"
        if not 1 <= depth <= MAX_DEPTH:
            return f"the last axis has {depth} elements, supported are 1 to {MAX_DEPTH}"
        return invalid(lambda: self.reverse(sig))

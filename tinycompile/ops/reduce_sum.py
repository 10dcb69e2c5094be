"""Sum over any axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.dtypes import INT8, INT16, INT32, INT64, DType
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.step_requant import LARGEST_SUM, StepRequant
from tinycompile.ops._arithmetic import wide
from tinycompile.ops._elementwise import requantized
from tinycompile.ops._reduce import Reduction
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._typed import Meaning, Meanings


@dataclass(frozen=True)
class ReduceSum(Reduction):
    """SUM of int8, int16, int32, int64 or float32 over any constant set of axes, with or without keeping them; int8 and
    int16 input and output may differ in scale and zero point; sums of int32 and int64 wrap.

    int8 and int16 follow LiteRT's default kernel, in float32; its reference kernel is wrong in nearly all values.

    Attributes:
        rule: from the sum of int8 inputs minus their zero point to the output, one channel; None for TFLite's.
        runtime: whose TFLite rule: TFLM's is in fixed point, rounded twice.
    """

    kind: ClassVar[str] = "reduce_sum"

    exact: ClassVar[tuple[DType, ...]] = (INT32, INT64)

    rule: Requant | None = None
    runtime: Runtime = "litert"

    def meanings(self) -> Meanings:
        return {
            **super().meanings(),
            INT8: Meaning(self._integers, self._limits),
            INT16: Meaning(self._sixteen_bits, self._wide_limits),
        }

    def real(self, x: Array) -> Array:
        return x.sum(axis=self.axes, dtype=x.dtype, keepdims=self.keep_dims)

    def requant(self, sig: Signature) -> Requant:
        """The rule from a sum of inputs minus their zero point to the output; one channel.

        TFLite's is a step function of the sum, for products and sums of floats that grow with it stay in order when
        they are rounded; its steps are found by bisection.
        """
        if self.rule is not None:
            return self.rule
        if self.runtime == "tflm":
            scale = np.float32(sig.input.scale) / np.float32(sig.output.scale)
            factor = quantize_multiplier(np.array([scale], np.float64))
            return TfliteRequant(*factor, sig.output.zero_point, *sig.output.dtype.range)
        count, zero_point = self.count(sig), sig.input.zero_point
        wanted = np.arange(-127, 128)
        low = np.full(wanted.size, -128 * count - 1, np.int64)  # too small
        high = np.full(wanted.size, 127 * count + 1, np.int64)  # large enough, or no sum
        while np.any(high - low > 1):
            middle = (low + high) // 2
            reached = self._tflite(sig, middle) >= wanted
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        steps = np.where(high > 127 * count, LARGEST_SUM, high - zero_point * count)
        scale = np.array([sig.input.scale / sig.output.scale], np.float64)
        return StepRequant(steps[None], scale, sig.output.zero_point, -128, 127)

    def _tflite(self, sig: Signature, total: Array) -> Array:
        """`QuantizedMeanOrSum` of reduce.h, from the sum of the bytes."""
        scale = np.float32(sig.input.scale) / np.float32(sig.output.scale)
        bias = np.float32(-sig.input.zero_point) * scale * np.float32(self.count(sig))
        real = (total.astype(np.float32) * scale + bias).astype(np.float64)
        rounded = np.copysign(np.floor(np.abs(real) + 0.5), real)
        low, high = sig.output.dtype.range
        return np.clip(rounded + sig.output.zero_point, low, high).astype(sig.output.dtype.carrier)

    def wide_factor(self, sig: Signature) -> np.float32:
        """From a sum of int16 to its output, which is rounded halves away from zero."""
        return np.float32(sig.input.scale) / np.float32(sig.output.scale)

    def _sixteen_bits(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        total = inputs[0].astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims)
        if self.runtime == "tflm":
            return (requantized(self.requant(sig), np.asarray(total), 0).astype(np.int16),)
        return (self._tflite(sig, np.asarray(total)),)

    def _wide_limits(self, sig: Signature) -> str | None:
        reasons = (
            wide.asymmetric(sig.input, "the input"),
            wide.asymmetric(sig.output, "the output"),
            None if self.count(sig) < 1 << 16 else "the sum of so many elements overflows int32",
            invalid(lambda: self.requant(sig)) if self.runtime == "tflm" else None,
        )
        reason = first_reason(reasons)
        if reason is None and not np.isfinite(self.wide_factor(sig)):
            return "the output scale is too small for the input scale"
        return reason

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        total = inputs[0].astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims)
        if self.rule is None and self.runtime == "litert":
            return (self._tflite(sig, np.asarray(total)),)
        return (
            requantized(self.requant(sig), np.asarray(total), sig.input.zero_point * self.count(sig)).astype(np.int8),
        )

    def _limits(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                invalid(lambda: self.requant(sig)) if self.runtime == "tflm" else None,
                None if self.count(sig) < 2**23 else "the sum of so many elements overflows int32",
            )
        )

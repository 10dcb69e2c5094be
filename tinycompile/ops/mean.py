"""Mean over any axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT8, INT16, INT32, INT64, DType
from tinycompile.ir import Array, Node, Signature
from tinycompile.numerics.block_floating import multiplier
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.ops._elementwise import requantized
from tinycompile.ops._reduce import Reduction
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, is_rescaled, passed_through, slopes
from tinycompile.ops._training.scaled_gradient import SpreadGradient
from tinycompile.ops._typed import Meaning, Meanings


@dataclass(frozen=True)
class Mean(Reduction, Differentiable):
    """int8, int32, int64 or float32, over any constant set of axes, with or without keeping them; int8 input and output
    may differ in scale and zero point; means of int32 and int64 are rounded towards zero.

    Attributes:
        rule: from the sum of int8 inputs minus their zero point to the output, one channel; None for TFLite's.
    """

    kind: ClassVar[str] = "mean"

    exact: ClassVar[tuple[DType, ...]] = (INT32, INT64)

    rule: Requant | None = None

    def meanings(self) -> Meanings:
        return {
            **super().meanings(),
            INT8: Meaning(self._integers, self._limits),
            INT16: Meaning(self._integers, self._limits),
        }

    def real(self, x: Array) -> Array:
        if x.dtype.kind == "f":
            return x.mean(axis=self.axes, keepdims=self.keep_dims)
        total = np.asarray(x.sum(axis=self.axes, dtype=np.int64, keepdims=self.keep_dims))
        count = prod(x.shape[axis] for axis in self.axes)
        return (np.sign(total) * (np.abs(total) // count)).astype(x.dtype)

    def requant(self, sig: Signature) -> Requant:
        """The rule from a sum of inputs minus their zero point to the output; one channel.

        The division is part of the multiplier (`QuantizedMeanOrSum` and `integer_ops/mean.h`).
        """
        if self.rule is not None:
            return self.rule
        real = np.array([sig.input.scale / sig.output.scale])
        (multiplier,), (shift,) = (part.tolist() for part in quantize_multiplier(real))
        count = self.count(sig)
        extra = min(count.bit_length() - 1, 32, 31 + shift)
        return TfliteRequant(
            np.array([(multiplier << extra) // count], np.int32),
            np.array([shift - extra], np.int32),
            sig.output.zero_point,
            *sig.output.dtype.range,
        )

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        total = inputs[0].astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims)
        zero_point = sig.input.zero_point * self.count(sig)
        return (requantized(self.requant(sig), total, zero_point).astype(inputs[0].dtype),)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        sig = tape.signature(node)
        share = 1 / self.count(sig)
        if self.rule is not None:
            share = float(slopes(sig, self.rule)[0])
            gradient = passed_through(tape, node, gradient, (self.rule.low, self.rule.high))
        elif is_rescaled(sig):
            gradient = passed_through(tape, node, gradient, sig.output.dtype.range)
        shape = sig.input.shape
        kept = tuple(1 if axis in self.axes else n for axis, n in enumerate(shape))
        op = SpreadGradient(shape, kept, multiplier(share))
        tape.add(node.inputs[0], Gradient(*tape.emit(op, *gradient, meaning="input_gradient")))

    def _limits(self, sig: Signature) -> str | None:
        most = 1 << 31 - sig.input.dtype.bits
        return first_reason(
            (
                not_quantized(sig.input, "the input", INT8, INT16),
                not_quantized(sig.output, "the output", sig.input.dtype),
                None if self.count(sig) < most else "the sum of so many elements overflows int32",
                invalid(lambda: self.requant(sig)),
            )
        )

"""Mean over any axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.ops._elementwise import requantized
from tinycompile.ops._rules import first_reason, invalid, not_quantized


@dataclass(frozen=True)
class Mean(Op):
    """int8, over any constant set of axes, with or without keeping them; input and output may differ in scale and
    zero point.

    Attributes:
        axes: sorted, distinct, not negative.
        keep_dims: reduced axes stay with size 1.
        rule: from the sum of inputs minus their zero point to the output, one channel; None for TFLite's.
    """

    kind: ClassVar[str] = "mean"

    axes: tuple[int, ...]
    keep_dims: bool
    rule: Requant | None = None

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if list(self.axes) != sorted(set(self.axes)) or not set(self.axes) <= set(range(len(shape))):
            raise ValueError(f"axes {self.axes} are not axes of {inputs[0]}")
        kept = ((1 if i in self.axes else n, i in self.axes) for i, n in enumerate(shape))
        return ((tuple(n for n, reduced in kept if self.keep_dims or not reduced), inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        """By positions where only channels are averaged, and stay as an axis."""
        channels = len(sig.input.shape) - 1
        return Pointwise() if self.keep_dims and self.axes == (channels,) and channels > 0 else Whole()

    def count(self, sig: Signature) -> int:
        """How many elements one result averages."""
        return prod(sig.input.shape[axis] for axis in self.axes)

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
            -128,
            127,
        )

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        total = inputs[0].astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims)
        zero_point = sig.input.zero_point * self.count(sig)
        return (requantized(self.requant(sig), total, zero_point).astype(np.int8),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                None if self.count(sig) < 2**23 else "the sum of so many elements overflows int32",
                invalid(lambda: self.requant(sig)),
            )
        )

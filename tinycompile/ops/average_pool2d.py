"""Average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.requant import Requant
from tinycompile.ops._elementwise import requantized
from tinycompile.ops._pool import Pool
from tinycompile.ops._rules import first_reason, not_quantized


@dataclass(frozen=True)
class AveragePool2D(Pool):
    """int8 (N = 1), any window, stride and padding; only positions inside the input count; averages the int8 values as
    they are, whatever scales input and output have; fused RELU, RELU6 and RELU_N1_TO_1. With a rule of its own it
    rescales, without padding.

    Attributes:
        rule: from the sum over a whole window of inputs minus their zero point to the output, one channel, in the range
            of `clamp`; None for TFLite's rounded quotient.
    """

    kind: ClassVar[str] = "average_pool2d"

    rule: Requant | None = None

    @property
    def count(self) -> int:
        """Positions in a whole window."""
        return self.kernel[0] * self.kernel[1]

    def unsupported(self, sig: Signature) -> str | None:
        if self.rule is None:
            return super().unsupported(sig)
        padding = "a rule of its own with padding" if any(self.padding) else None
        batch = None if sig.input.shape[0] == 1 else f"the batch is {sig.input.shape[0]}, supported is 1"
        types = (not_quantized(sig.input, "the input"), not_quantized(sig.output, "the output"))
        return first_reason((*types, padding, batch))

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Sum / count, halves away from zero, of the int8 values as they are (`integer_ops/pooling.h`)."""
        window = self.window_of(sig)
        x = inputs[0].astype(np.int32)
        if self.rule is not None:
            centred = np.zeros(sig.output.shape, np.int32) - np.int32(self.count * sig.input.zero_point)
            for _, _, tap in window.taps(x):
                centred += tap
            return (requantized(self.rule, centred, 0).astype(np.int8),)
        inside = np.ones((*x.shape[:3], 1), np.int32)
        total = sum((tap for _, _, tap in window.taps(window.pad(x, 0))), np.int32(0))
        count = sum((tap for _, _, tap in window.taps(window.pad(inside, 0))), np.int32(0))
        rounded = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return (np.clip(rounded, *self.clamp).astype(np.int8),)

"""Average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.requant import Requant
from tinycompile.ops._elementwise import requantized
from tinycompile.ops._pool import Pool
from tinycompile.ops._spatial import Padding


@dataclass(frozen=True)
class AveragePool2D(Pool):
    """int8 (N = 1) or float32, any window, stride and padding; only positions inside the input count. int8 values are
    averaged as they are, whatever scales input and output have; with fused RELU, RELU6 and RELU_N1_TO_1. With a rule of
    its own it rescales, without padding. float32 with any dilation.

    Attributes:
        rule: from the sum over a whole window of int8 inputs minus their zero point to the output, one channel, in the
            range of `clamp`; None for TFLite's rounded quotient.
        counted: how many of the padded rows and columns count, as zeros, in the order of `padding`; of floats only.
    """

    kind: ClassVar[str] = "average_pool2d"

    rule: Requant | None = None
    counted: Padding = field(default=(0, 0, 0, 0), kw_only=True)

    @property
    def count(self) -> int:
        """Positions in a whole window."""
        return self.kernel[0] * self.kernel[1]

    def limits(self, sig: Signature) -> str | None:
        if self.rule is not None and any(self.padding):
            return "a rule of its own with padding"
        return "padding that counts" if any(self.counted) else None

    def integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Sum / count, halves away from zero, of the int8 values as they are (`integer_ops/pooling.h`)."""
        x = inputs[0].astype(np.int32)
        if self.rule is not None:
            centred = self._total(x) - np.int32(self.count * sig.input.zero_point)
            return (requantized(self.rule, centred, 0).astype(np.int8),)
        total, count = self._total(x), self._inside(x).astype(np.int32)
        rounded = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return (np.clip(rounded, *self.clamp).astype(inputs[0].dtype),)

    def real(self, x: Array) -> Array:
        return self._total(x) / self._inside(x)

    def _total(self, x: Array) -> Array:
        """Sums over the windows, in the type of `x`."""
        return sum((tap for _, _, tap in self.slid.taps(self.slid.pad(x, 0))), x.dtype.type(0))

    def _inside(self, x: Array) -> Array:
        """How many positions of each window count, shape (1, oh, ow, 1)."""
        (height, width), (top, bottom, left, right), counted = x.shape[1:3], self.padding, self.counted
        inside = np.zeros((1, top + height + bottom, left + width + right, 1), x.dtype)
        rows = slice(top - counted[0], top + height + counted[1])
        inside[:, rows, left - counted[2] : left + width + counted[3]] = 1
        return sum((tap for _, _, tap in self.slid.taps(inside)), x.dtype.type(0))

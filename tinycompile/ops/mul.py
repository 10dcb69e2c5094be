"""Multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._elementwise import Binary
from tinycompile.ops._rules import first_reason, invalid


@dataclass(frozen=True)
class Mul(Binary):
    """int8 operands of any scales and zero points that broadcast as in NumPy, one of them may be a constant; fused
    RELU, RELU6 and RELU_N1_TO_1.
    """

    kind: ClassVar[str] = "mul"

    def requant(self, sig: Signature) -> TfliteRequant:
        """The rule from the product of the operands minus their zero points to the output; one channel."""
        a, b = sig.inputs
        real = np.float32(a.scale) * np.float32(b.scale) / np.float32(sig.output.scale)
        return TfliteRequant(*quantize_multiplier(np.array([real], np.float64)), sig.output.zero_point, *self.clamp)

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        return self.requant(sig).apply((a * b)[..., None])[..., 0]

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((super().unsupported(sig), invalid(lambda: self.requant(sig))))

"""Rectified linear unit as an operator of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._elementwise import Unary, requantized
from tinycompile.ops._rules import first_reason, invalid


@dataclass(frozen=True)
class Relu(Unary):
    """int8; RELU, RELU6 and RELU_N1_TO_1; input and output may differ in scale and zero point.

    Attributes:
        clamp: inclusive range of the int8 output.
    """

    kind: ClassVar[str] = "relu"

    clamp: tuple[int, int]

    def requant(self, sig: Signature) -> TfliteRequant:
        """The rule from an input minus its zero point to the output; one channel."""
        real = np.float32(sig.input.scale) / np.float32(sig.output.scale)
        return TfliteRequant(*quantize_multiplier(np.array([real], np.float64)), sig.output.zero_point, *self.clamp)

    def of(self, sig: Signature, x: Array) -> Array:
        return requantized(self.requant(sig), x, sig.input.zero_point).astype(np.int8)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((super().unsupported(sig), invalid(lambda: self.requant(sig))))

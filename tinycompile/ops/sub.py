"""Subtraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array, Signature
from tinycompile.ops._integers import IntegerBinary
from tinycompile.ops._sum import Sum


@dataclass(frozen=True)
class Sub(Sum, IntegerBinary):
    """int8 operands of any scales and zero points, float32, int32 or int64, that broadcast as in NumPy, one of
    them may be a constant; fused RELU, RELU6 and RELU_N1_TO_1, not of integers without scales.
    """

    kind: ClassVar[str] = "sub"
    subtracts: ClassVar[bool] = True

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        first, second = self.scaled(sig, a, b)
        return self.rescaled(sig, first - second)

    def real(self, a: Array, b: Array) -> Array:
        return a - b

    def integer(self, a: Array, b: Array) -> Array:
        return a - b

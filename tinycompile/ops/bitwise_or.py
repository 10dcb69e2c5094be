"""Or of two numbers' bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._bits import Bits


@dataclass(frozen=True)
class BitwiseOr(Bits):
    """Integer operands of any size that broadcast as in NumPy, one of them may be a constant."""

    kind: ClassVar[str] = "bitwise_or"

    def bits(self, a: Array, b: Array) -> Array:
        return a | b

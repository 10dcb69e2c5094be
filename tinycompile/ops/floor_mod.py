"""What division leaves, rounded downwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._arithmetic.integers import floored_remainder
from tinycompile.ops._elementwise import RealBinary
from tinycompile.ops._integers import IntegerBinary


@dataclass(frozen=True)
class FloorMod(RealBinary, IntegerBinary):
    """float32, int32 or int64 operands that broadcast as in NumPy, one of them may be a constant; the result has the
    divisor's sign. An integer divided by 0, for which LiteRT stops, leaves 0.
    """

    kind: ClassVar[str] = "floor_mod"

    def real(self, a: Array, b: Array) -> Array:
        remainder = np.fmod(a, b)
        return np.where((remainder != 0) & ((b < 0) != (remainder < 0)), remainder + b, remainder)

    def integer(self, a: Array, b: Array) -> Array:
        return floored_remainder(a, b)

"""What division leaves, rounded towards zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._arithmetic.integers import remainder
from tinycompile.ops._elementwise import RealBinary
from tinycompile.ops._integers import IntegerBinary


@dataclass(frozen=True)
class Fmod(RealBinary, IntegerBinary):
    """float32 or integer operands that broadcast as in NumPy, one of them may be a constant; the result has the
    dividend's sign, as C's fmod. An integer divided by 0 leaves 0.
    """

    kind: ClassVar[str] = "fmod"

    def real(self, a: Array, b: Array) -> Array:
        return np.fmod(a, b)

    def integer(self, a: Array, b: Array) -> Array:
        return remainder(a, b)

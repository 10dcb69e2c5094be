"""Powers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.ir import Array
from tinycompile.ops._arithmetic.integers import power
from tinycompile.ops._elementwise import RealBinary
from tinycompile.ops._integers import IntegerBinary


@dataclass(frozen=True)
class Pow(RealBinary, IntegerBinary):
    """float32 or int32 operands that broadcast as in NumPy, one of them may be a constant. A negative integer exponent,
    for which LiteRT stops, gives 1.
    """

    kind: ClassVar[str] = "pow"
    integer_types = (INT32,)

    def real(self, a: Array, b: Array) -> Array:
        return np.power(a, b)

    def integer(self, a: Array, b: Array) -> Array:
        return power(a, b)

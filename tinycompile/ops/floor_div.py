"""Division, rounded downwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.ir import Array
from tinycompile.ops._arithmetic.integers import floored_quotient
from tinycompile.ops._elementwise import RealBinary
from tinycompile.ops._integers import IntegerBinary


@dataclass(frozen=True)
class FloorDiv(RealBinary, IntegerBinary):
    """float32 or int32 operands that broadcast as in NumPy, one of them may be a constant. An integer divided by 0, for
    which LiteRT stops, gives 0.
    """

    kind: ClassVar[str] = "floor_div"
    integer_types = (INT32,)

    def real(self, a: Array, b: Array) -> Array:
        return np.floor(a / b)

    def integer(self, a: Array, b: Array) -> Array:
        return floored_quotient(a, b)

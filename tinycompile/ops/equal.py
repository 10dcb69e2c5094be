"""Whether two elements are equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.dtypes import BOOL, FLOAT32, INT32, INT64
from tinycompile.ir import Array
from tinycompile.ops._comparison import Comparison


@dataclass(frozen=True)
class Equal(Comparison):
    """int8 and uint8 of scales below 1, float32, int32, int64 or bool, that broadcast as in NumPy, one of
    them may be a constant. The result is bool.
    """

    kind: ClassVar[str] = "equal"
    types = (FLOAT32, INT32, INT64, BOOL)  # of int16 LiteRT compares the scaled numbers, rounded

    def holds(self, a: Array, b: Array) -> Array:
        return a == b

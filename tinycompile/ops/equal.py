"""Whether two elements are equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.dtypes import BOOL
from tinycompile.ir import Array
from tinycompile.ops._comparison import Comparison


@dataclass(frozen=True)
class Equal(Comparison):
    """int8 and uint8 of scales below 1, float32, int16, int32, int64 or bool, that broadcast as in NumPy, one of
    them may be a constant. The result is bool.
    """

    kind: ClassVar[str] = "equal"
    types = (*Comparison.types, BOOL)

    def holds(self, a: Array, b: Array) -> Array:
        return a == b

"""Whether the first of two elements is less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._comparison import Comparison


@dataclass(frozen=True)
class Less(Comparison):
    """int8 and uint8 of scales below 1, float32, int16, int32 or int64, that broadcast as in NumPy, one of
    them may be a constant. The result is bool.
    """

    kind: ClassVar[str] = "less"

    def holds(self, a: Array, b: Array) -> Array:
        return a < b

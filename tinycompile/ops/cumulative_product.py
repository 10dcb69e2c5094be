"""Products of all elements up to each one along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops.cumulative_sum import CumulativeSum


@dataclass(frozen=True)
class CumulativeProduct(CumulativeSum):
    """int32, int64 or float32 along any axis; products of integers wrap, floats are multiplied one after the other."""

    kind: ClassVar[str] = "cumulative_product"
    start: ClassVar[int] = 1

    def accumulated(self, x: Array) -> Array:
        return np.cumprod(x, self.axis, x.dtype)

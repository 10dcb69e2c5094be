"""Numbers shifted to the left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._bits import Bits


@dataclass(frozen=True)
class LeftShift(Bits):
    """Integer operands of any size that broadcast as in NumPy, one of them may be a constant; what leaves the type is
    lost; so is everything if the shift is negative, or no smaller than the number of bits.
    """

    kind: ClassVar[str] = "left_shift"

    def bits(self, a: Array, b: Array) -> Array:
        width = 8 * a.itemsize
        shifted = a << np.clip(b, 0, width - 1).astype(a.dtype)
        return np.where((b < 0) | (b >= width), 0, shifted).astype(a.dtype)

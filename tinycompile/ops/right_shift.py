"""Numbers shifted to the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._bits import Bits


@dataclass(frozen=True)
class RightShift(Bits):
    """int8, uint8, int16 or int32 operands that broadcast as in NumPy, one of them may be a constant; the sign is kept.
    A shift outside of the type's bits means the nearest one inside.
    """

    kind: ClassVar[str] = "right_shift"

    def bits(self, a: Array, b: Array) -> Array:
        return a >> np.clip(b, 0, 8 * a.itemsize - 1).astype(a.dtype)

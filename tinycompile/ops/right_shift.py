"""Numbers shifted to the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._bits import Bits


@dataclass(frozen=True)
class RightShift(Bits):
    """Integer operands of any size that broadcast as in NumPy, one of them may be a constant; the sign is kept.
    A shift outside of the type's bits means the nearest one inside by TFLite's rule; by ONNX's it leaves nothing but
    the sign.
    """

    kind: ClassVar[str] = "right_shift"

    def bits(self, a: Array, b: Array) -> Array:
        width = 8 * a.itemsize
        shifted = a >> np.clip(b, 0, width - 1).astype(a.dtype)
        if self.rule == "tflite":
            return shifted
        return np.where((b < 0) | (b >= width), np.where(a < 0, -1, 0).astype(a.dtype), shifted)

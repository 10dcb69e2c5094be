"""The smaller one of two elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._extremum import Extremum


@dataclass(frozen=True)
class Minimum(Extremum):
    """int8 and int16, of which TFLite's rule compares the bytes, and ONNX's the numbers, of any scales and zero points;
    float32, int32, int64. Operands broadcast as in NumPy, one of them may be a constant.
    """

    kind: ClassVar[str] = "minimum"
    keeps_larger: ClassVar[bool] = False

    def integer(self, a: Array, b: Array) -> Array:
        return np.minimum(a, b)

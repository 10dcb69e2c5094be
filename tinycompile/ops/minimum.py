"""The smaller one of two elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._elementwise import DequantizedBinary


@dataclass(frozen=True)
class Minimum(DequantizedBinary):
    """float32, or int8 operands of any scales and zero points by ONNX's rule, that broadcast as in NumPy, one of them
    may be a constant.
    """

    kind: ClassVar[str] = "minimum"

    def real(self, a: Array, b: Array) -> Array:
        return np.minimum(a, b)

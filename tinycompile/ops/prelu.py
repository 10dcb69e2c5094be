"""Parametric rectified linear unit: a slope for each negative element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._elementwise import RealBinary


@dataclass(frozen=True)
class Prelu(RealBinary):
    """float32 operands that broadcast as in NumPy, one of them may be a constant: the elements, and their slopes."""

    kind: ClassVar[str] = "prelu"

    def real(self, a: Array, b: Array) -> Array:
        return np.where(a < 0, a * b, a)

"""Angle of a point, by its two coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._elementwise import RealBinary


@dataclass(frozen=True)
class Atan2(RealBinary):
    """float32 operands that broadcast as in NumPy, one of them may be a constant: the angle of (second, first)."""

    kind: ClassVar[str] = "atan2"

    def real(self, a: Array, b: Array) -> Array:
        return np.arctan2(a.astype(np.float64), b.astype(np.float64))

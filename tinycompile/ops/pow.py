"""Powers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._elementwise import RealBinary


@dataclass(frozen=True)
class Pow(RealBinary):
    """float32 operands that broadcast as in NumPy, one of them may be a constant."""

    kind: ClassVar[str] = "pow"

    def real(self, a: Array, b: Array) -> Array:
        return np.power(a, b)

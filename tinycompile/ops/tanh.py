"""Hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._real_table import RealTable


@dataclass(frozen=True)
class Tanh(RealTable):
    """int8, any scales and zero points; float32."""

    kind: ClassVar[str] = "tanh"

    def real(self, x: Array) -> Array:
        return np.tanh(x.astype(np.float64)).astype(np.float32)

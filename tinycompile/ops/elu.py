"""Exponential linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._real_table import RealTable


@dataclass(frozen=True)
class Elu(RealTable):
    """int8; input and output may differ in scale and zero point. float32.

    Attributes:
        alpha: the limit for small inputs is its negative.
    """

    kind: ClassVar[str] = "elu"

    alpha: float = 1.0

    def real(self, x: Array) -> Array:
        return np.where(x < 0, self.alpha * np.expm1(np.minimum(x, 0).astype(np.float64)), x)

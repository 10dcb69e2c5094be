"""Gaussian error linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._real_table import WideRealTable

_ERFC = np.vectorize(erfc, otypes=[np.float64])


@dataclass(frozen=True)
class Gelu(WideRealTable):
    """int8 and int16; input and output may differ in scale and zero point. float32. Both forms.

    Attributes:
        approximate: by tanh.
    """

    kind: ClassVar[str] = "gelu"

    approximate: bool = False

    def real(self, x: Array) -> Array:
        wide = x.astype(np.float64)
        if self.approximate:
            return 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
        return 0.5 * wide * _ERFC(-wide / np.sqrt(2))

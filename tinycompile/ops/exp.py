"""Exponential function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._real_table import WideRealTable


@dataclass(frozen=True)
class Exp(WideRealTable):
    """int8 and int16; input and output may differ in scale and zero point. float32."""

    kind: ClassVar[str] = "exp"

    def real(self, x: Array) -> Array:
        return np.exp(x.astype(np.float64))

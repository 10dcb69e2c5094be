"""Natural logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._real_table import RealTable


@dataclass(frozen=True)
class Log(RealTable):
    """int8; input and output may differ in scale and zero point; what isn't positive gives -128. float32."""

    kind: ClassVar[str] = "log"

    def of(self, sig: Signature, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            result = super().of(sig, np.maximum(x, sig.input.zero_point))  # the logarithm of 0 saturates
        return np.where(x > sig.input.zero_point, result, np.int8(-128))

    def real(self, x: Array) -> Array:
        return np.log(x.astype(np.float64))

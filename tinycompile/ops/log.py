"""Natural logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._arithmetic.wide import LOW
from tinycompile.ops._arithmetic.wide_table import sampled
from tinycompile.ops._real_table import WideRealTable


@dataclass(frozen=True)
class Log(WideRealTable):
    """int8 and int16; input and output may differ in scale and zero point; what isn't positive gives the smallest
    output. float32.
    """

    kind: ClassVar[str] = "log"

    def of(self, sig: Signature, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            result = super().of(sig, np.maximum(x, sig.input.zero_point))  # the logarithm of 0 saturates
        return np.where(x > sig.input.zero_point, result, np.int8(-128))

    def wide_table(self, sig: Signature) -> Array:
        smallest = np.float32(sig.output.scale) * np.float32(LOW)

        def function(x: Array) -> Array:
            return np.where(x > 0, self.real(np.where(x > 0, x, 1)), smallest)

        return sampled(function, sig)

    def real(self, x: Array) -> Array:
        return np.log(x.astype(np.float64))

"""Square root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import RealUnary, Unary, WideUnary


@dataclass(frozen=True)
class Sqrt(Unary, WideUnary, RealUnary):
    """int8 and int16; input and output may differ in scale and zero point; rounded towards zero, as LiteRT does. Of a
    negative number, for which LiteRT stops, it is 0. float32.
    """

    kind: ClassVar[str] = "sqrt"

    def of(self, sig: Signature, x: Array) -> Array:
        centred = np.maximum(x.astype(np.int32) - sig.input.zero_point, 0).astype(np.float32)
        with np.errstate(over="ignore"):
            root = np.sqrt(np.float32(sig.input.scale) * centred) / np.float32(sig.output.scale)
        return np.clip(np.floor(root.astype(np.float64)) + sig.output.zero_point, *sig.output.dtype.range).astype(
            x.dtype
        )

    def wide(self, sig: Signature, x: Array) -> Array:
        return self.of(sig, x)

    def real(self, x: Array) -> Array:
        return np.sqrt(x)

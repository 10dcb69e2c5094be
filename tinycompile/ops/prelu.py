"""Parametric rectified linear unit: a slope for each negative element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from tinycompile.ops._elementwise import RealBinary, TfliteBinary
from tinycompile.ops._rules import invalid


@dataclass(frozen=True)
class Prelu(TfliteBinary, RealBinary):
    """int8 operands of any scales and zero points, or float32, that broadcast as in NumPy, one of them may be a
    constant: the elements, and their slopes.
    """

    kind: ClassVar[str] = "prelu"
    wide: ClassVar[bool] = False  # LiteRT reads int16 slopes as if they were int8

    def factors(self, sig: Signature) -> tuple[Array, Array]:
        """(multiplier, shift) of elements and of products of elements with slopes. Raises ValueError without them."""
        x, slope, y = (np.float32(t.scale) for t in (*sig.inputs, sig.output))
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return quantize_multiplier(np.array([x / y, x * slope / y], np.float64))

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        multiplier, shift = self.factors(sig)
        a, b = np.broadcast_arrays(a, b)
        which = (a < 0).astype(np.intp)
        scaled = multiply_by_quantized_multiplier(np.where(a < 0, a * b, a), multiplier[which], shift[which])
        return scaled + sig.output.zero_point

    def real(self, a: Array, b: Array) -> Array:
        return np.where(a < 0, a * b, a)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.factors(sig))

"""Absolute value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._elementwise import RealUnary, Unary, WideUnary
from tinycompile.ops._integers import IntegerUnary
from tinycompile.ops._rules import invalid


@dataclass(frozen=True)
class Abs(Unary, WideUnary, RealUnary, IntegerUnary):
    """int8 and int16; input and output may differ in scale and zero point. float32, int32."""

    kind: ClassVar[str] = "abs"
    integer_types = (INT32,)

    def requant(self, sig: Signature) -> TfliteRequant:
        """The rule from a distance to the input's zero point to the output; one channel."""
        real = np.float32(sig.input.scale) / np.float32(sig.output.scale)
        return TfliteRequant(
            *quantize_multiplier(np.array([real], np.float64)), sig.output.zero_point, *sig.output.dtype.range
        )

    def of(self, sig: Signature, x: Array) -> Array:
        distance = np.abs(x.astype(np.int64) - sig.input.zero_point)
        return self.requant(sig).apply(distance[..., None])[..., 0].astype(x.dtype)

    def wide(self, sig: Signature, x: Array) -> Array:
        return self.of(sig, x)

    def real(self, x: Array) -> Array:
        return np.abs(x)

    def integer(self, x: Array) -> Array:
        return np.abs(x)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.requant(sig))

    def wide_limits(self, sig: Signature) -> str | None:
        return self.limits(sig)

"""Square of a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._arithmetic.tflite import multiply
from tinycompile.ops._elementwise import RealBinary, TfliteBinary
from tinycompile.ops._integers import IntegerBinary
from tinycompile.ops._rules import invalid

_LEFT_SHIFT = 7


@dataclass(frozen=True)
class SquaredDifference(TfliteBinary, RealBinary, IntegerBinary):
    """int8 operands of any scales and zero points, float32, or int32, that broadcast as in NumPy, one of them may be a
    constant.
    """

    kind: ClassVar[str] = "squared_difference"
    wide: ClassVar[bool] = False  # LiteRT has none of int16
    integer_types = (INT32,)

    def aligned(self, sig: Signature, operand: int, x: Array) -> Array:
        """An operand minus its zero point at the scale that both have in common, seven bits below the binary point."""
        return multiply(x << _LEFT_SHIFT, self.factor(sig, sig.inputs[operand]))

    def requant(self, sig: Signature) -> TfliteRequant:
        """The rule from the square of a difference of aligned operands to the output; one channel."""
        twice_larger = 2 * max(t.scale for t in sig.inputs)
        real = twice_larger * twice_larger / (2.0 ** (2 * _LEFT_SHIFT) * sig.output.scale)
        if not 0 < real < 1:
            raise ValueError("the output scale is too small for the input scales")
        return TfliteRequant(*quantize_multiplier(np.array([real])), sig.output.zero_point, *self.clamp)

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        difference = self.aligned(sig, 0, a) - self.aligned(sig, 1, b)
        return self.requant(sig).apply((difference * difference)[..., None])[..., 0]

    def real(self, a: Array, b: Array) -> Array:
        difference = a - b
        return difference * difference

    def integer(self, a: Array, b: Array) -> Array:
        return self.real(a, b)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.requant(sig))

    def factor(self, sig: Signature, t: TensorType) -> tuple[int, int]:
        """(multiplier, shift) of an operand's scale by twice the larger one."""
        real = t.scale / (2 * max(x.scale for x in sig.inputs))
        (multiplier,), (shift,) = (part.tolist() for part in quantize_multiplier(np.array([real])))
        return multiplier, shift

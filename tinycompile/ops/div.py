"""Division."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import (
    count_leading_sign_bits,
    get_reciprocal,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from tinycompile.numerics.fixed_point import saturating_rounding_doubling_high_mul as high_mul
from tinycompile.ops._arithmetic.integers import quotient
from tinycompile.ops._elementwise import DequantizedBinary, TfliteBinary
from tinycompile.ops._integers import IntegerBinary
from tinycompile.ops._rules import invalid


@dataclass(frozen=True)
class Div(TfliteBinary, DequantizedBinary, IntegerBinary):
    """int8 operands of any scales and zero points, int16 with zero points of 0, float32, or int32, that broadcast as in
    NumPy, one of them may be a constant; int8 and int16 with fused RELU, RELU6 and RELU_N1_TO_1. An integer divided by
    0, for which LiteRT stops, gives the end of the range on the dividend's side, 0 / 0 gives 0; without scales it
    gives 0.
    """

    kind: ClassVar[str] = "div"
    integer_types = (INT32,)

    def scaling(self, sig: Signature) -> tuple[int, int]:
        """(multiplier, shift) of the quotient of the scales. Raises ValueError where there is none."""
        a, b = (np.float32(t.scale) for t in sig.inputs)
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            real = a / (b * np.float32(sig.output.scale))
        (multiplier,), (shift,) = (part.tolist() for part in quantize_multiplier(np.array([real], np.float64)))
        if shift > 22:
            raise ValueError("the output scale is too small for the input scales")
        return multiplier, shift

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        """`DivElementwise`: the dividend as far left as it fits, times the reciprocal, scaled.

        Where that ends in a shift by more than 31 bits, which C++ leaves undefined and where LiteRT's results are
        anything, it's 0, as the real quotient is to within a step.
        """
        multiplier, shift = self.scaling(sig)
        dividend, divisor = np.where(b < 0, -a, a), np.abs(b)
        reciprocal, reciprocal_shift = get_reciprocal(np.maximum(divisor, 1), 31)
        headroom = count_leading_sign_bits(dividend)
        scaled = high_mul(high_mul(dividend << headroom, reciprocal), multiplier)
        right = reciprocal_shift + headroom - shift
        rounded = np.where(right > 31, 0, rounding_divide_by_pot(scaled, np.clip(right, 0, 31)))
        return np.where(divisor == 0, np.sign(a) * 2**16, rounded) + sig.output.zero_point

    def real(self, a: Array, b: Array) -> Array:
        return a / b

    def integer(self, a: Array, b: Array) -> Array:
        return quotient(a, b)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.scaling(sig))

"""What ADD and SUB share: both operands brought to one scale, 20 bits below the binary point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier, wrap_int32
from tinycompile.ops._elementwise import Binary
from tinycompile.ops._rules import first_reason, invalid

LEFT_SHIFT = 20


@dataclass(frozen=True)
class SumParameters:
    """Fixed-point parameters as in TFLite's `ArithmeticParams`; every shift is <= 0.

    LiteRT aborts where ADD's last factor is 1 or more; SUB's shift is then undefined in C++, and outputs are all 1.

    out = zero_point + mul(mul((a - za) << left_shift, first) +- mul((b - zb) << left_shift, second), output)
    with mul(x, (m, s)) = MultiplyByQuantizedMultiplier(x, m, s).
    """

    left_shift: int
    first: tuple[int, int]
    second: tuple[int, int]
    output: tuple[int, int]

    @staticmethod
    def of(a_scale: float, b_scale: float, y_scale: float) -> SumParameters:
        """`PrepareGeneralSubOp` and its twin in add.cc. Raises ValueError where LiteRT refuses the scales."""
        twice_larger = 2 * max(a_scale, b_scale)
        reals = np.array([a_scale / twice_larger, b_scale / twice_larger, twice_larger / (2.0**LEFT_SHIFT * y_scale)])
        if not np.all((reals > 0) & (reals < 1)):
            raise ValueError("the output scale is too small for the input scales")
        multipliers, shifts = quantize_multiplier(reals)
        if np.any(shifts > 0):
            raise ValueError("the output scale is too small for the input scales")
        first, second, output = zip(multipliers.tolist(), shifts.tolist(), strict=True)
        return SumParameters(LEFT_SHIFT, first, second, output)


def multiply(x: Array, factor: tuple[int, int]) -> Array:
    """MultiplyByQuantizedMultiplier with a scalar (multiplier, shift)."""
    return multiply_by_quantized_multiplier(x, np.array(factor[0]), np.array(factor[1]))


@dataclass(frozen=True)
class Sum(Binary):
    """Base of Add and Sub."""

    def parameters(self, sig: Signature) -> SumParameters:
        a, b = sig.inputs
        return SumParameters.of(a.scale, b.scale, sig.output.scale)

    def scaled(self, sig: Signature, a: Array, b: Array) -> tuple[Array, Array]:
        """Both operands at the common scale."""
        p = self.parameters(sig)
        return multiply(a << p.left_shift, p.first), multiply(b << p.left_shift, p.second)

    def rescaled(self, sig: Signature, total: Array) -> Array:
        return wrap_int32(multiply(total, self.parameters(sig).output) + sig.output.zero_point)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((super().unsupported(sig), invalid(lambda: self.parameters(sig))))

"""Reciprocal of the square root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import (
    inverse_square_root,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from tinycompile.ops._elementwise import RealUnary, Unary
from tinycompile.ops._rules import invalid

_FRACTION_BITS = 20
"""Of the root before it is scaled."""


@dataclass(frozen=True)
class Rsqrt(Unary, RealUnary):
    """int8; input and output may differ in scale and zero point. Of 0 it is the largest output, and of a negative
    number, for which LiteRT stops, as well. float32.
    """

    kind: ClassVar[str] = "rsqrt"

    def of(self, sig: Signature, x: Array) -> Array:
        """`RsqrtEvalQuantizedInt8`: the root in fixed point, then both scales in one factor."""
        multiplier, shift = self._scaling(sig)
        centred = x.astype(np.int64) - sig.input.zero_point
        root, root_shift = inverse_square_root(np.maximum(centred, 1))
        data = multiply_by_quantized_multiplier(np.ones_like(centred), root, root_shift + _FRACTION_BITS)
        scaled = multiply_by_quantized_multiplier(data, multiplier, shift - _FRACTION_BITS) + sig.output.zero_point
        return np.where(centred > 0, np.clip(scaled, -128, 127), 127).astype(np.int8)

    def real(self, x: Array) -> Array:
        return np.float32(1) / np.sqrt(x)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self._scaling(sig))

    def _scaling(self, sig: Signature) -> tuple[Array, Array]:
        """`SetRsqrtOutputMultiplier`, whose product of root and scale is a float32.

        Raises:
            ValueError: the factor is too large for a shift, or too small for the last one.
        """
        with np.errstate(over="ignore", divide="ignore"):
            divisor = np.sqrt(np.float32(sig.input.scale)) * np.float32(sig.output.scale)
            multiplier, shift = quantize_multiplier(np.array([1 / np.float64(divisor)]))
        if multiplier[0] == 0 or shift[0] - _FRACTION_BITS < -31:
            raise ValueError("the output scale is too large for the input scale")
        return multiplier, shift

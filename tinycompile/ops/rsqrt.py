"""Reciprocal of the square root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import (
    inverse_square_root,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from tinycompile.ops._elementwise import RealUnary, Unary, WideUnary
from tinycompile.ops._rules import invalid

FRACTION_BITS = 20
"""Of the root before it is scaled."""


@dataclass(frozen=True)
class Rsqrt(Unary, WideUnary, RealUnary):
    """int8 and int16; input and output may differ in scale and zero point. Of 0 it is the largest output, and of a
    negative number, for which LiteRT stops, as well. float32. int16 follows TFLM, which is within 4 steps of the real
    value; LiteRT's table is up to 886 off.
    """

    kind: ClassVar[str] = "rsqrt"

    def of(self, sig: Signature, x: Array) -> Array:
        """`RsqrtEvalQuantizedInt8`: the root in fixed point, then both scales in one factor."""
        multiplier, shift = self.scaling(sig)
        centred = x.astype(np.int64) - sig.input.zero_point
        root, root_shift = inverse_square_root(np.maximum(centred, 1))
        data = multiply_by_quantized_multiplier(np.ones_like(centred), root, root_shift + FRACTION_BITS)
        scaled = multiply_by_quantized_multiplier(data, multiplier, shift - FRACTION_BITS) + sig.output.zero_point
        low, high = sig.output.dtype.range
        return np.where(centred > 0, np.clip(scaled, low, high), high).astype(x.dtype)

    def wide(self, sig: Signature, x: Array) -> Array:
        return self.of(sig, x)

    def real(self, x: Array) -> Array:
        return np.float32(1) / np.sqrt(x)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.scaling(sig))

    def wide_limits(self, sig: Signature) -> str | None:
        return self.limits(sig)

    def scaling(self, sig: Signature) -> tuple[Array, Array]:
        """(multiplier, shift) from roots to outputs (`SetRsqrtOutputMultiplier`): the product of root and scale is a
        float32 in LiteRT, which int8 follows, and a float64 in TFLM.

        Raises:
            ValueError: the factor is too large for a shift, or too small for the last one.
        """
        with np.errstate(over="ignore", divide="ignore"):
            real = np.float64 if sig.input.dtype == INT16 else np.float32
            divisor = np.sqrt(real(sig.input.scale)) * real(sig.output.scale)
            multiplier, shift = quantize_multiplier(np.array(1 / np.float64(divisor)))
        if multiplier == 0 or shift - FRACTION_BITS < -31:
            raise ValueError("the output scale is too large for the input scale")
        return multiplier, shift

"""Hard swish, x * relu6(x + 3) / 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier, rounding_divide_by_pot
from tinycompile.ops._elementwise import RealUnary, Unary
from tinycompile.ops._rules import invalid


@dataclass(frozen=True)
class HardSwish(Unary, RealUnary):
    """int8, where the output scale is more than 1/128 of the input scale; float32."""

    kind: ClassVar[str] = "hard_swish"

    def of(self, sig: Signature, x: Array) -> Array:
        """`HardSwish` (hard_swish.h), in 16-bit fixed point."""
        (output_multiplier, reluish_multiplier), (output_shift, reluish_shift) = _multipliers(sig)
        hires = (x.astype(np.int64) - sig.input.zero_point) << 7
        preshift_output = _rounding_high_mul(hires, output_multiplier)
        gate = _gate(hires, reluish_multiplier, reluish_shift)
        product = gate * preshift_output
        preshift = np.sign(product) * (np.abs(product) >> 15)
        output = _divide_by_pot(preshift, -output_shift) + sig.output.zero_point
        return np.clip(output, -128, 127).astype(np.int8)

    def real(self, x: Array) -> Array:
        """In the order of LiteRT's kernel, each step in float32, so that what is quantised behind it is exact."""
        return x * np.minimum(np.maximum(x + np.float32(3), np.float32(0)), np.float32(6)) / np.float32(6)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: _multipliers(sig))


def _gate(hires: Array, multiplier: int, shift: int) -> Array:
    """relu6(x + 3) / 6 as a 16-bit fixed-point number: x rescaled so that 3.0 is 2^15, saturated, then halved."""
    value = _saturate(hires << max(shift - 1, 0))
    value = _rounding_high_mul(value, multiplier)
    if shift > 0:
        value = _saturate(value << 1)
    value = _divide_by_pot(value, max(-shift, 0))
    return (value + 2**15) >> 1


def _multipliers(sig: Signature) -> tuple[tuple[int, int], tuple[int, int]]:
    """16-bit multipliers and their shifts, of the output and of the gate (`HardSwishPrepare`).

    Raises:
        ValueError: LiteRT refuses the scales.
    """
    hires_scale = np.float32(1 / 128) * np.float32(sig.input.scale)
    with np.errstate(over="ignore"):
        reals = np.array([hires_scale / np.float32(sig.output.scale), hires_scale / np.float32(3 / 32768)], np.float64)
    multipliers, shifts = quantize_multiplier(reals)
    if shifts[0] > 0:
        raise ValueError("the output scale is too small for the input scale")
    output, reluish = (min((int(m) + 2**15) >> 16, 2**15 - 1) for m in multipliers)
    return (output, reluish), (int(shifts[0]), int(shifts[1]))


def _divide_by_pot(x: Array, exponent: int) -> Array:
    """gemmlowp's `RoundingDivideByPOT` for 16 bits: from exponent 16 on its mask is -1, so that 0 becomes 1."""
    if exponent < 16:
        return rounding_divide_by_pot(x, exponent)
    return np.where(x < 0, -1, 1)


def _rounding_high_mul(a: Array, b: int) -> Array:
    """`SaturatingRoundingDoublingHighMul` for 16 bits; `b` is not negative, so nothing saturates."""
    return (a * b + 2**14) >> 15


def _saturate(x: Array) -> Array:
    return np.clip(x, -(2**15), 2**15 - 1)

"""Conversion of the numbers themselves to another element type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, SMALL_FLOATS, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._elementwise import Elementwise

Rounding = Literal["up", "nearest", "down"]


@dataclass(frozen=True)
class Cast(Elementwise):
    """Any type to any other: integers keep their low bits; floats lose their fraction and end at the range's ends, NaN
    at the upper one; what isn't 0 is true; floats of 16, 8 and 4 bits are rounded to the nearest, halves to even.
    Between floats of other types than float32 and anything else, the number is a float32 on its way. Scales and zero
    points don't count.

    Attributes:
        dtype: of the result.
        saturate: what is too large for a float of 8 bits becomes its largest number, else infinity or NaN.
        rounding: to float8_e8m0fnu, which has powers of two only.
    """

    kind: ClassVar[str] = "cast"

    dtype: DType
    saturate: bool = True
    rounding: Rounding = "up"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, self.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        (x,) = inputs
        source, result = sig.input.dtype, self.dtype
        with np.errstate(over="ignore", invalid="ignore"):
            if FLOAT32 not in (source, result) and (source.is_float or result.is_float) and source != result:
                x = x.astype(np.float32)
            if result == BOOL:
                return (x != 0,)
            if result.is_float:
                return (self._as_float(x),)
            if not source.is_float:
                return (_low_bits(x, result),)
        low, high = result.range
        values = np.full(x.shape, high, result.carrier)
        values[x <= low] = low
        inside = (x > low) & (x < float(high))
        values[inside] = x[inside].astype(result.carrier)
        return (values,)

    def _as_float(self, x: Array) -> Array:
        if self.dtype.name == "float8_e8m0fnu":
            return _powers(x, self.rounding, self.saturate).view(self.dtype.carrier)
        if self.dtype in SMALL_FLOATS and self.saturate and self.dtype.bits == 8:
            numbers = np.arange(256, dtype=np.uint8).view(self.dtype.carrier).astype(np.float32)
            limit = numbers[np.isfinite(numbers)].max()
            x = np.clip(x, -limit, limit)
        if self.dtype.bits == 4:  # without a NaN
            x = np.where(np.isnan(x), np.copysign(np.float32(0), x), x)
        return x.astype(self.dtype.carrier)

    def unsupported(self, sig: Signature) -> str | None:
        return None


def _low_bits(x: Array, dtype: DType) -> Array:
    """Integers as another integer type."""
    if not dtype.is_sub_byte:
        return x.astype(dtype.carrier)
    sign = (1 << dtype.bits - 1) if dtype.is_signed else 0
    return (((x.astype(np.int64) & ((1 << dtype.bits) - 1)) ^ sign) - sign).astype(dtype.carrier)


def _powers(x: Array, rounding: Rounding, saturate: bool) -> Array:
    """The exponents of the powers of two to which positive numbers are rounded, as bytes; signs are dropped."""
    bits = x.astype(np.float32).view(np.uint32)
    exponent, rest = (bits >> 23) & 0xFF, bits & 0x7FFFFF
    half = np.where(exponent == 0, rest > 0x400000, rest >= 0x400000)
    more = {"up": rest > 0, "nearest": half, "down": np.zeros(x.shape, np.bool_)}[rounding]
    code = np.where(exponent == 255, 255, exponent + more)
    return np.where((code == 255) & (exponent != 255) & saturate, 254, code).astype(np.uint8)

"""Conversion of the numbers themselves to another element type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import BOOL, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._elementwise import Elementwise
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class Cast(Elementwise):
    """Any type to any other of at least 8 bits: integers keep their low bits; floats lose their fraction and end at the
    range's ends, NaN at the upper one; what isn't 0 is true. Scales and zero points don't count.

    Attributes:
        dtype: of the result.
    """

    kind: ClassVar[str] = "cast"

    dtype: DType

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, self.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        (x,) = inputs
        if self.dtype == BOOL:
            return (x != 0,)
        if not sig.input.dtype.is_float or not self.dtype.is_integer:
            with np.errstate(over="ignore"):
                return (x.astype(self.dtype.carrier),)
        low, high = self.dtype.range
        result = np.full(x.shape, high, self.dtype.carrier)
        result[x <= low] = low
        inside = (x > low) & (x < float(high))
        result[inside] = x[inside].astype(self.dtype.carrier)
        return (result,)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_movable(sig.input), not_movable(sig.output, "the output")))

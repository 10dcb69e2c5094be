"""Bits seen as another type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType


@dataclass(frozen=True)
class BitCast(Op):
    """Any type to any other with as many bits; elements of fewer than 8 bits only to such.

    Attributes:
        dtype: of the result.
    """

    kind: ClassVar[str] = "bit_cast"

    dtype: DType

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        if inputs[0].dtype.bits != self.dtype.bits:
            raise ValueError(f"the bits of {inputs[0].dtype} as {self.dtype}, which has another size")
        return ((inputs[0].shape, self.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        (x,) = inputs
        if self.dtype.is_sub_byte:
            return (self.dtype.unpack(sig.input.dtype.pack(x), x.size).reshape(x.shape),)
        return (np.ascontiguousarray(x).view(self.dtype.carrier).reshape(x.shape),)

"""Sum over rows and columns: the first half of a global average, made so that rows can come one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Summed
from tinycompile.dtypes import INT16, INT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import not_quantized


@dataclass(frozen=True)
class SpatialSum(Op):
    """int8 (1, H, W, C) to int32 (1, 1, 1, C): the values as they are, not minus their zero point. Or int16 or int32
    without a scale, which are sums themselves.

    Attributes:
        adds: the sums are added to what is in the output: the form that takes some rows at a time.
    """

    kind: ClassVar[str] = "spatial_sum"

    adds: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        if len(inputs[0].shape) != 4:
            raise ValueError(f"a sum over rows and columns needs a 4-D input, got {inputs[0]}")
        return (((1, 1, 1, inputs[0].shape[3]), INT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (inputs[0].astype(np.int32).sum(axis=(1, 2), keepdims=True, dtype=np.int32),)

    def unsupported(self, sig: Signature) -> str | None:
        if sig.input.dtype in (INT16, INT32):
            return None if sig.input.quant is None else "sums have no scale"
        return not_quantized(sig.input, "the input")

    def access(self, sig: Signature, operand: int) -> Access:
        return Summed()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        return SpatialSum(adds=True)

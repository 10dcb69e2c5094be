"""The largest elements of each row, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, rescales, wrong_dtype

_NUMBERS = (INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64, FLOAT32)


@dataclass(frozen=True)
class TopK(Op):
    """TOPK_V2 of integers of 8 to 64 bits or float32 along the last axis; (elements, positions), the largest
    first, the first of equals first, NaN last; positions are int32 or int16. Quantised input and output have the same
    scale and zero point.

    Attributes:
        k: how many of each row.
        index: INT32 or INT16, the type of positions.
    """

    kind: ClassVar[str] = "top_k"

    k: int
    index: DType = INT32

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x = inputs[0]
        if not x.shape or not 0 < self.k <= x.shape[-1]:
            raise ValueError(f"{self.k} elements of each row of {x}")
        shape = (*x.shape[:-1], self.k)
        return (shape, x.dtype), (shape, self.index)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        (x,) = inputs
        descending = -x if sig.input.dtype == FLOAT32 else ~x  # of an integer -x overflows
        order = np.argsort(descending, axis=-1, kind="stable")[..., : self.k]
        return np.take_along_axis(x, order, -1), order.astype(self.index.carrier)

    def unsupported(self, sig: Signature) -> str | None:
        x, y, positions = sig.input, sig.outputs[0], sig.outputs[1]
        quantized = x.quant is not None and y.quant is not None
        return first_reason(
            (
                wrong_dtype(x, "the input", *_NUMBERS),
                wrong_dtype(y, "the output", x.dtype),
                wrong_dtype(positions, "the tensor of positions", INT32, INT16),
                "rows are longer than int16 can say" if self.index == INT16 and x.shape[-1] > 2**15 else None,
                rescales(x, y) if quantized else None,
            )
        )

"""Products of 8-bit matrices whose zero points are operands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Across, Whole
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._elementwise import broadcast
from tinycompile.ops._integer_product import IntegerProduct


@dataclass(frozen=True)
class MatMulInteger(IntegerProduct):
    """int8, with zero points that may be computed: (..., m, k) times (..., k, n) to int32, or with a scale and a bias
    to float32; either may be a constant. One zero point for the first, one or n for the second operand.
    """

    kind: ClassVar[str] = "matmul_integer"

    def result_shape(self, x: TensorType, y: TensorType) -> tuple[int, ...]:
        if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-2]:
            raise ValueError(f"{x} and {y} can't be multiplied")
        return (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])

    def sums(self, sig: Signature, x: Array, y: Array) -> Array:
        return np.matmul(x, y)

    def channels_of(self, zero_point: Array) -> Array:
        return zero_point.reshape(-1)

    def access(self, sig: Signature, operand: int) -> Access:
        """By matrices; by a matrix's rows the first operand alone."""
        rows = len(sig.output.shape) - 3
        if rows < 0 or operand > 1:
            return Whole()
        shape = sig.inputs[operand].shape
        same = broadcast(shape, sig.output.shape)
        return same if operand == 0 else Across(same.broadcast, rows, shape[-2])

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * sig.input.shape[-1]

"""Elements of one axis by indices that may be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._indices import inside, wrong_indices
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class Gather(Op):
    """Any type; int16, int32 or int64 indices of any shape, constant or computed; either tensor may be the constant, as
    the table of EMBEDDING_LOOKUP is. An index outside of the axis reads its nearest end.

    Attributes:
        axis: of operand 0, not negative.
        batch_dims: axes that both operands have in common and that are gone through together.
    """

    kind: ClassVar[str] = "gather"

    axis: int
    batch_dims: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, indices = inputs[0].shape, inputs[1].shape
        batch = self.batch_dims
        if not 0 <= batch <= self.axis < len(x) or batch > len(indices) or x[:batch] != indices[:batch]:
            raise ValueError(f"axis {self.axis} and batch_dims {batch} of {inputs[0]} by {inputs[1]}")
        if x[self.axis] < 1:
            raise ValueError(f"axis {self.axis} of {inputs[0]} has no elements")
        return (((*x[: self.axis], *indices[batch:], *x[self.axis + 1 :]), inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, indices = inputs
        batch = self.batch_dims
        places = inside(indices, x.shape[self.axis])
        rows = x.reshape(prod(x.shape[:batch]), *x.shape[batch:])
        wanted = places.reshape(prod(x.shape[:batch]), *places.shape[batch:])
        taken = [np.take(row, index, axis=self.axis - batch) for row, index in zip(rows, wanted, strict=True)]
        return (np.array(taken, x.dtype).reshape(sig.output.shape),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_movable(sig.input), wrong_indices(sig.inputs[1])))

"""The beginnings of sequences, the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32, INT64, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason, wrong_dtype


@dataclass(frozen=True)
class ReverseSequence(Op):
    """Any type; int32 or int64 lengths, constant or computed, one for each position of the batch's axis. A length
    outside of the sequence means its nearest end.

    Attributes:
        axis: along which elements are in reverse order, as many as the length says.
        batch_axis: another one, along which each position has a length.
    """

    kind: ClassVar[str] = "reverse_sequence"

    axis: int
    batch_axis: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, lengths = inputs
        rank = len(x.shape)
        if not 0 <= self.axis < rank or not 0 <= self.batch_axis < rank or self.axis == self.batch_axis:
            raise ValueError(f"axes {self.axis} and {self.batch_axis} of {x}")
        if lengths.shape != (x.shape[self.batch_axis],):
            raise ValueError(f"lengths {lengths} for axis {self.batch_axis} of {x}")
        return ((x.shape, x.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = np.moveaxis(inputs[0], (self.batch_axis, self.axis), (0, 1))
        result, size = np.array(x), x.shape[1]
        for row, length in enumerate(np.clip(inputs[1].astype(np.int64), 0, size)):
            result[row, :length] = x[row, :length][::-1]
        return (np.ascontiguousarray(np.moveaxis(result, (0, 1), (self.batch_axis, self.axis))),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_movable(sig.input), wrong_dtype(sig.inputs[1], "the tensor of lengths", INT32, INT64)))

"""Rows that are one value but for the element that an index names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType, bounded
from tinycompile.ops._indices import wrong_indices
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class OneHot(Op):
    """int32 or int64 indices; depth, on and off that are known when the model is compiled, of any type. An index
    outside of the depth names no element.

    Attributes:
        axis: of the result along which its elements are named, not negative.
        depth: elements along that axis.
        on, off: values of the named element and of the others.
        dtype: of the result.
    """

    kind: ClassVar[str] = "one_hot"

    axis: int
    depth: int
    on: float
    off: float
    dtype: DType

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        indices = inputs[0].shape
        if not 0 <= self.axis <= len(indices) or self.depth < 1:
            raise ValueError(f"axis {self.axis} and depth {self.depth} for {inputs[0]}")
        return ((bounded((*indices[: self.axis], self.depth, *indices[self.axis :])), self.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        indices = np.expand_dims(inputs[0].astype(np.int64), self.axis)
        places = np.arange(self.depth).reshape(self.depth, *[1] * (inputs[0].ndim - self.axis))
        on, off = (np.array(value).astype(self.dtype.carrier) for value in (self.on, self.off))
        return (np.where(indices == places, on, off),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_movable(sig.output, "the output"), wrong_indices(sig.input)))

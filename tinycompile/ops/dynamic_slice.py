"""A piece of a tensor, from a place that is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._indices import inside, wrong_indices
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class DynamicSlice(Op):
    """Any type, at most 6 axes; int32 or int64 begin, moved so that the piece lies inside.

    Attributes:
        size: of the piece, per axis.
    """

    kind: ClassVar[str] = "dynamic_slice"

    size: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, begin = inputs
        if len(x.shape) != len(self.size) or not all(0 < n <= m for n, m in zip(self.size, x.shape, strict=True)):
            raise ValueError(f"a piece {list(self.size)} of {x}")
        if begin.shape != (len(self.size),):
            raise ValueError(f"a begin {begin} for {x}")
        return ((self.size, x.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, begin = inputs
        firsts = [int(inside(first, n - m + 1)) for first, n, m in zip(begin, x.shape, self.size, strict=True)]
        return (np.array(x[tuple(slice(f, f + n) for f, n in zip(firsts, self.size, strict=True))]),)

    def unsupported(self, sig: Signature) -> str | None:
        if len(self.size) > 6:
            return f"the input has {len(self.size)} axes, supported are 6"
        return first_reason((not_movable(sig.input), wrong_indices(sig.inputs[1])))

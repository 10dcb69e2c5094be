"""Slices of a tensor by coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._indices import tuples, wrong_indices
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class GatherND(Op):
    """Any type; int16, int32 or int64 indices, constant or computed, whose last axis holds coordinates along the first
    axes of the other operand. A coordinate outside of its axis reads the nearest end.
    """

    kind: ClassVar[str] = "gather_nd"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, indices = inputs[0].shape, inputs[1].shape
        if not indices or not 1 <= indices[-1] <= len(x) or 0 in x:
            raise ValueError(f"{inputs[0]} by the coordinates {inputs[1]}")
        return (((*indices[:-1], *x[indices[-1] :]), inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, indices = inputs
        return (x[tuples(indices, x.shape)],)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_movable(sig.input), wrong_indices(sig.inputs[1])))

"""Slices added to zeros at coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType, bounded
from tinycompile.ops._indices import tuples, wrong_indices
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class ScatterND(Op):
    """Any type; int32 or int64 coordinates, constant or computed, and a shape that is known when the model is compiled.
    What meets at the same place is added, in order, integers modulo their size; quantised values as they are. A
    coordinate outside of its axis means the nearest end.

    Attributes:
        shape: of the result.
    """

    kind: ClassVar[str] = "scatter_nd"

    shape: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        indices, updates = inputs[0].shape, inputs[1].shape
        shape = bounded(self.shape)
        if not indices or not 1 <= indices[-1] <= len(shape) or 0 in shape:
            raise ValueError(f"a result of the shape {list(shape)} by the coordinates {inputs[0]}")
        if updates != (*indices[:-1], *shape[indices[-1] :]):
            raise ValueError(f"{inputs[1]} at the coordinates {inputs[0]} in the shape {list(shape)}")
        return ((shape, inputs[1].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        indices, updates = inputs
        result = np.zeros(self.shape, updates.dtype)
        with np.errstate(over="ignore"):
            np.add.at(result, tuples(indices, self.shape), updates)
        return (result,)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_movable(sig.inputs[1], "the updates"), wrong_indices(sig.input)))

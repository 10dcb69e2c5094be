"""A tensor with a piece of it replaced, at a place that may be computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._indices import inside, wrong_indices
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class DynamicUpdateSlice(Op):
    """Any type, at most 6 axes; int32 or int64 begin, constant or computed, moved so that the piece lies inside. The
    result can be in the operand's memory: then only the piece is written.
    """

    kind: ClassVar[str] = "dynamic_update_slice"

    @property
    def updates(self) -> Mapping[int, int]:
        return {0: 0}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, update, begin = inputs
        fits = 0 < len(x.shape) == len(update.shape) and all(
            0 < part <= n for n, part in zip(x.shape, update.shape, strict=True)
        )
        if not fits or begin.shape != (len(x.shape),) or x.dtype != update.dtype:
            raise ValueError(f"{update} at the place {begin} of {x}")
        return ((x.shape, x.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, update, begin = inputs
        result, places = np.array(x), list[slice]()
        for n, part, first in zip(x.shape, update.shape, begin, strict=True):
            place = int(inside(first, n - part + 1))
            places.append(slice(place, place + part))
        result[tuple(places)] = update
        return (result,)

    def unsupported(self, sig: Signature) -> str | None:
        if len(sig.input.shape) > 6:
            return f"the input has {len(sig.input.shape)} axes, supported are 6"
        return first_reason((not_movable(sig.input), wrong_indices(sig.inputs[2])))

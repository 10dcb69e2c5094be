"""Choice between two elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access
from tinycompile.dtypes import BOOL, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._elementwise import broadcast
from tinycompile.ops._rules import first_reason, wrong_dtype


@dataclass(frozen=True)
class Select(Op):
    """SELECT and SELECT_V2: a condition, bool, and two operands of one type, of which elements are taken where it is
    true and where it isn't. All broadcast as in NumPy; elements are copied, whatever their scales.
    """

    kind: ClassVar[str] = "select"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((np.broadcast_shapes(*(t.shape for t in inputs)), inputs[1].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return broadcast(sig.inputs[operand].shape, sig.output.shape)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.where(inputs[0], inputs[1], inputs[2]),)

    def unsupported(self, sig: Signature) -> str | None:
        condition, x, y = sig.inputs
        shared = "an element shares its byte with others" if x.dtype.is_sub_byte else None
        return first_reason(
            (wrong_dtype(condition, "the condition", BOOL), shared, wrong_dtype(y, "the third operand", x.dtype))
        )

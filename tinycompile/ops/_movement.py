"""What operators that move elements without computing share: one function says where each element comes from.

Everything else follows from it. Applied to the numbers 0 .. n - 1 it yields the index map, from which kernels learn
whether the result is the operand's memory already, which loops copy it otherwise, and what may share memory.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType

MAX_RANK = 8
"""Of operands and results, as of the files."""


class Movement(Op):
    """Every element of the result is one of operand 0, whose quantisation it has: bytes are moved as they are."""

    @abstractmethod
    def move(self, x: Array) -> Array:
        """The result for an array of any element type; may be a view. Raises ValueError where the shape doesn't fit.

        `infer` calls it: a result that is larger than the operand is to be `bounded` before it is allocated.
        """

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((self.move(np.broadcast_to(np.int8(0), inputs[0].shape)).shape, inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.array(self.move(inputs[0]), order="C"),)

    def unsupported(self, sig: Signature) -> str | None:
        return not_movable(sig.input)


def not_movable(t: TensorType, role: str = "the input") -> str | None:
    """Elements must have addresses of their own."""
    return f"{role} is {t.dtype}, whose elements share bytes" if t.dtype.is_sub_byte else None


def checked_axes(shape: Sequence[int], given: Sequence[object], what: str) -> None:
    """Raises ValueError unless there is one entry per axis."""
    if len(given) != len(shape):
        raise ValueError(f"{len(given)} {what} for the shape {list(shape)}")

"""Sums of all elements up to each one along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT32, INT64, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype


@dataclass(frozen=True)
class CumulativeSum(Op):
    """CUMSUM of int32, int64 or float32 along any axis; sums of integers wrap, floats are added one after the other.

    Attributes:
        axis: not negative.
        exclusive: a sum leaves out the element that it stands at.
        reverse: from the last element on.
    """

    kind: ClassVar[str] = "cumulative_sum"
    start: ClassVar[int] = 0
    """Of no elements."""

    axis: int
    exclusive: bool = False
    reverse: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        if not 0 <= self.axis < len(inputs[0].shape):
            raise ValueError(f"{self.axis} is no axis of {inputs[0]}")
        return ((inputs[0].shape, inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = np.flip(inputs[0], self.axis) if self.reverse else inputs[0]
        if self.exclusive:
            first = np.full_like(x.take([0], self.axis), self.start)
            rest = x.take(range(x.shape[self.axis] - 1), self.axis)
            x = np.concatenate([first, rest], self.axis)
        with np.errstate(all="ignore"):
            running = self.accumulated(x)
        return (np.ascontiguousarray(np.flip(running, self.axis)) if self.reverse else running,)

    def accumulated(self, x: Array) -> Array:
        """Of all elements up to each one along the axis."""
        return np.cumsum(x, self.axis, x.dtype)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                wrong_dtype(sig.input, "the input", INT32, INT64, FLOAT32),
                wrong_dtype(sig.output, "the output", sig.input.dtype),
                None if sig.input.shape[self.axis] else "the axis has no elements",
            )
        )

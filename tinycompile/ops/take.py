"""Elements of one axis by constant indices: slices, splits, gathers, repetition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, UINT8, DType
from tinycompile.ir import Array, Op, Region, Signature, TensorType
from tinycompile.ops._rules import wrong_dtype


@dataclass(frozen=True)
class Take(Op):
    """int8, uint8 or float32, any axis: slices with any step, splits, gathers by constant indices, nearest-neighbour
    resizing.

    Attributes:
        axis: not negative.
        indices: of the input's elements along the axis, in the order of the output's.
    """

    kind: ClassVar[str] = "take"

    axis: int
    indices: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if not 0 <= self.axis < len(shape):
            raise ValueError(f"axis {self.axis} is not an axis of {inputs[0]}")
        if not self.indices or min(self.indices) < 0 or max(self.indices) >= shape[self.axis]:
            raise ValueError(f"indices outside the {shape[self.axis]} elements of axis {self.axis}")
        return (((*shape[: self.axis], len(self.indices), *shape[self.axis + 1 :]), inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.take(inputs[0], self.indices, axis=self.axis),)

    def repeats(self, sig: Signature) -> tuple[int, int] | None:
        steps = self._steps(sig, 1), self._steps(sig, 2)
        return None if steps[0] is None or steps[1] is None else (steps[0][1], steps[1][1])

    def input_region(self, sig: Signature, region: Region, operand: int) -> Region | None:
        """Of images: where every n-th row or column is taken, or each several times."""
        down, across = self._steps(sig, 1), self._steps(sig, 2)
        if len(sig.input.shape) != 4 or down is None or across is None:
            return None
        return Region(*_taken(region.y0, region.y1, down), *_taken(region.x0, region.x1, across))

    def on_padded(self, sig: Signature, rows: int, columns: int | None) -> Op | None:
        count, steps = (rows if self.axis == 1 else columns), self._steps(sig, self.axis)
        if self.axis == 0 or self.axis > 3 or steps is None:
            return None
        if self.axis == 3 or count is None:
            return self
        stride, times = steps
        return Take(self.axis, tuple(i // times * stride for i in range(count)))

    def _steps(self, sig: Signature, axis: int) -> tuple[int, int] | None:
        """(s, n) where every s-th element of an axis is taken n times, from the first on."""
        if axis != self.axis or axis not in (1, 2):
            return 1, 1
        size, found = sig.input.shape[axis], np.array(self.indices)
        counts = np.arange(found.size)
        if found.size % size == 0 and np.array_equal(found, counts // (found.size // size)):
            return 1, found.size // size
        stride = int(found[1]) if found.size > 1 else 1
        return (stride, 1) if stride > 0 and np.array_equal(found, counts * stride) else None

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_dtype(sig.input, "the input", INT8, UINT8, FLOAT32)


def _taken(first: int, last: int, steps: tuple[int, int]) -> tuple[int, int]:
    """The input's elements behind the output's [first, last)."""
    stride, times = steps
    return first // times * stride, (last - 1) // times * stride + 1

"""Elements of one axis by constant indices: slices, splits, gathers, repetition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Enlarged, Pointwise, Whole, Windowed
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._movement import not_movable


@dataclass(frozen=True)
class Take(Op):
    """Any type, any axis: slices with any step, splits, gathers by constant indices, nearest-neighbour
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

    def access(self, sig: Signature, operand: int) -> Access:
        """Of positions: every n-th one from the first on, or each several times."""
        rank, axis = len(sig.input.shape) - 2, self.axis - 1
        if axis == rank >= 0:
            return Pointwise()
        if axis < 0:
            return Whole()
        size, found = sig.input.shape[self.axis], np.array(self.indices)
        counts, one = np.arange(found.size), (1,) * rank
        times, step = found.size // size, int(found[1]) if found.size > 1 else 1
        if found.size == times * size and np.array_equal(found, counts // times):
            return Enlarged((*one[:axis], times, *one[axis + 1 :]))
        if step > 0 and np.array_equal(found, counts * step):
            return Windowed(one, (*one[:axis], step, *one[axis + 1 :]), one, ((0, 0),) * rank)
        return Whole()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        axis = self.axis - 1
        reach, size = self.access(sig, 0).along(axis), sizes[axis] if axis < len(sizes) else None
        if reach is None or size is None:
            return self
        return Take(self.axis, tuple(reach.taps(i)[0] for i in range(size)))

    def unsupported(self, sig: Signature) -> str | None:
        return not_movable(sig.input)

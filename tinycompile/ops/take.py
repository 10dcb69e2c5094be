"""Elements of one axis by constant indices: slices, splits, gathers, repetition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Enlarged, Pointwise, Whole, Windowed
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Node, Op, Signature, TensorType
from tinycompile.ops._movement import not_movable
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.placed_gradient import PlacedGradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_as_values


@dataclass(frozen=True)
class Take(Differentiable):
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

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        """Elements that were taken several times are the sum of what their copies have."""
        size = tape.type_of(node.inputs[0]).shape[self.axis]
        for values in gradients_of_taken(tape, gradient.values, self.axis, self.indices, size):
            add_as_values(tape, node, Gradient(values, gradient.exponent))

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


def gradients_of_taken(tape: Tape, gradient: str, axis: int, indices: Sequence[int], size: int) -> Iterator[str]:
    """Of elements along an axis, `size` of them, from that of those that were taken: as many parts as an element was
    taken times, whose sum it is.
    """
    shape, found = tape.type_of(gradient).shape, np.array(indices)
    longer = (*shape[:axis], found.size + 1, *shape[axis + 1 :])  # with a 0 for those that weren't taken
    (filled,) = tape.emit(PlacedGradient(longer, (0,) * len(shape)), gradient, meaning="filled")
    counts = np.bincount(found, minlength=size)
    order = np.argsort(found, kind="stable")
    first = np.cumsum(counts) - counts
    for number in range(counts.max()):
        there = counts > number
        places = np.where(there, order[np.where(there, first + number, 0)], found.size)
        (values,) = tape.emit(Take(axis, tuple(places.tolist())), filled, meaning="input_gradient")
        yield values

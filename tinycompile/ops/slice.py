"""Elements at regular distances along every axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array, Node
from tinycompile.ops._movement import Movement, checked_axes
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.placed_gradient import PlacedGradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_as_values
from tinycompile.ops.take import gradients_of_taken


@dataclass(frozen=True)
class Slice(Movement, Differentiable):
    """Any type, any axes, steps of either sign; bounds that are known when the model is compiled. SLICE, STRIDED_SLICE
    with every mask, SPLIT, SPLIT_V, UNPACK and REVERSE_V2 become these: where the elements lie side by side, it is the
    operand's memory and no code.

    Attributes:
        begin: the first index per axis, inside the operand.
        size: elements per axis, at least 1.
        step: distance between them per axis; not 0.
    """

    kind: ClassVar[str] = "slice"

    begin: tuple[int, ...]
    size: tuple[int, ...]
    step: tuple[int, ...]

    @staticmethod
    def of_axis(shape: Sequence[int], axis: int, begin: int, size: int, step: int = 1) -> Slice:
        """Along one axis; everything of the others."""
        begins, sizes, steps = [0] * len(shape), list(shape), [1] * len(shape)
        begins[axis], sizes[axis], steps[axis] = begin, size, step
        return Slice(tuple(begins), tuple(sizes), tuple(steps))

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        """Along axes with a step the rest is 0 between elements, then around them."""
        whole, values, begins = tape.type_of(node.inputs[0]).shape, gradient.values, list(self.begin)
        for axis, (begin, size, step) in enumerate(zip(self.begin, self.size, self.step, strict=True)):
            if step != 1 and size > 1:
                taken = range(begin, begin + size * step, step)
                (values,) = gradients_of_taken(tape, values, axis, taken, whole[axis])
                begins[axis] = 0
        if tape.type_of(values).shape != whole:
            (values,) = tape.emit(PlacedGradient(whole, tuple(begins)), values, meaning="input_gradient")
        add_as_values(tape, node, Gradient(values, gradient.exponent))

    def move(self, x: Array) -> Array:
        for given in (self.begin, self.size, self.step):
            checked_axes(x.shape, given, "bounds")
        places = list[slice]()
        for length, begin, size, step in zip(x.shape, self.begin, self.size, self.step, strict=True):
            end = begin + (size - 1) * step
            if size < 1 or step == 0 or not 0 <= min(begin, end) <= max(begin, end) < length:
                raise ValueError(f"{size} elements from {begin} on with the step {step} out of {length}")
            behind = end + (1 if step > 0 else -1)
            places.append(slice(begin, behind if behind >= 0 else None, step))
        return x[tuple(places)]

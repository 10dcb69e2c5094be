"""Permutation of the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Planar, Whole
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Node, Op, Signature, TensorType
from tinycompile.ops._movement import not_movable
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_as_values
from tinycompile.ops.plane_rows import PlaneRows

TO_CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Transpose(Differentiable):
    """Any type, any number of axes, constant permutation; copies the values as they are, whatever scales
    input and output have.

    Attributes:
        permutation: output axis i is input axis permutation[i].
    """

    kind: ClassVar[str] = "transpose"

    permutation: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if sorted(self.permutation) != list(range(len(shape))):
            raise ValueError(f"{self.permutation} is not a permutation of the axes of {inputs[0]}")
        return ((tuple(shape[axis] for axis in self.permutation), inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        """By positions where channels become the innermost axis."""
        axes = len(self.permutation)
        return Planar() if axes > 1 and self.permutation == (0, *range(2, axes), 1) else Whole()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        """Rows of an image."""
        match list(sizes):
            case [int(rows), None]:
                return PlaneRows(rows)
            case _:
                return None

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.asarray(inputs[0].transpose(self.permutation), order="C"),)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        back = tuple(int(axis) for axis in np.argsort(self.permutation))
        (values,) = tape.emit(Transpose(back), gradient.values, meaning="input_gradient")
        add_as_values(tape, node, Gradient(values, gradient.exponent))

    def unsupported(self, sig: Signature) -> str | None:
        return not_movable(sig.input)

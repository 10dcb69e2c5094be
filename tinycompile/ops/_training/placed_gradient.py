"""The gradient of what a slice was taken of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._training.gradient import Inferred


@dataclass(frozen=True)
class PlacedGradient(Op):
    """The values of a gradient, int16, at their places in the operand that they are of a part of; 0 elsewhere.

    Attributes:
        shape: of the operand. begin: where in it the first value is.
    """

    kind: ClassVar[str] = "placed_gradient"

    shape: tuple[int, ...]
    begin: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        ends = [begin + n for begin, n in zip(self.begin, inputs[0].shape, strict=True)]
        if any(end > n for end, n in zip(ends, self.shape, strict=True)):
            raise ValueError(f"{inputs[0]} isn't inside of {self.shape} from {self.begin} on")
        return ((self.shape, INT16),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        whole = np.zeros(self.shape, np.int16)
        whole[tuple(slice(b, b + n) for b, n in zip(self.begin, inputs[0].shape, strict=True))] = inputs[0]
        return (whole,)

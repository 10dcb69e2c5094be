"""Padding of floats with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import FloatOp


@dataclass(frozen=True)
class FloatPad(FloatOp):
    """float32, any axes, at most 6 dimensions.

    Attributes:
        amounts: (before, after) per axis, not negative.
        value: the fill.
    """

    kind: ClassVar[str] = "float_pad"

    amounts: tuple[tuple[int, int], ...]
    value: float

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if len(self.amounts) != len(shape) or any(n < 0 for pair in self.amounts for n in pair):
            raise ValueError(f"{self.amounts} doesn't say how to pad {inputs[0]}")
        return ((tuple(n + sum(pair) for n, pair in zip(shape, self.amounts, strict=True)), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.pad(inputs[0], self.amounts, constant_values=np.float32(self.value)),)

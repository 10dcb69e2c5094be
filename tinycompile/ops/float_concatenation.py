"""Concatenation of floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import FloatOp


@dataclass(frozen=True)
class FloatConcatenation(FloatOp):
    """float32, any number of operands along any axis, constants included.

    Attributes:
        axis: not negative.
    """

    kind: ClassVar[str] = "float_concatenation"

    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        total = sum(t.shape[self.axis] for t in inputs)
        return (((*shape[: self.axis], total, *shape[self.axis + 1 :]), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.concatenate(inputs, axis=self.axis),)

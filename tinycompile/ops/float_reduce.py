"""Means, sums and extremes of floats over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import FloatOp

FUNCTIONS: Mapping[str, Callable[..., Any]] = {"mean": np.mean, "sum": np.sum, "max": np.max, "min": np.min}


@dataclass(frozen=True)
class FloatReduce(FloatOp):
    """float32: mean, sum, maximum or minimum over any axes, which stay with size 1.

    Attributes:
        function: a key of `FUNCTIONS`.
        axes: sorted, distinct, not negative.
    """

    kind: ClassVar[str] = "float_reduce"

    function: str
    axes: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if list(self.axes) != sorted(set(self.axes)) or not set(self.axes) <= set(range(len(shape))):
            raise ValueError(f"axes {self.axes} are not axes of {inputs[0]}")
        return ((tuple(1 if i in self.axes else n for i, n in enumerate(shape)), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        result = FUNCTIONS[self.function](inputs[0].astype(np.float64), axis=self.axes, keepdims=True)
        return (result.astype(np.float32),)

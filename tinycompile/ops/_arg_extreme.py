"""Where along an axis the largest or the smallest element is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT32, INT64, UINT8, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype


@dataclass(frozen=True)
class ArgExtreme(Op):
    """The first of equals; a NaN is never the one, unless there is nothing else.

    Attributes:
        axis: not negative.
        index: INT32 or INT64, the type of the result.
    """

    axis: int
    index: DType = INT32

    @abstractmethod
    def first(self, x: Array) -> Array:
        """Positions along the axis, of an array without NaN."""

    @abstractmethod
    def worst(self) -> float:
        """What no other float is worse than."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if not 0 <= self.axis < len(shape):
            raise ValueError(f"{self.axis} is no axis of {inputs[0]}")
        return (((*shape[: self.axis], *shape[self.axis + 1 :]), self.index),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        (x,) = inputs
        if sig.input.dtype == FLOAT32:
            x = np.where(np.isnan(x), np.float32(self.worst()), x)
        return (np.asarray(self.first(x)).astype(self.index.carrier),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                wrong_dtype(sig.input, "the input", INT8, UINT8, INT32, BOOL, FLOAT32),
                wrong_dtype(sig.output, "the output", INT32, INT64),
                None if sig.input.shape[self.axis] else "the axis has no elements",
            )
        )

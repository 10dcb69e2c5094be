"""The model's input, row by row from the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType


@dataclass(frozen=True)
class InputRows(Op):
    """Made by the compiler for `--input-stream rows`: a callback gives the next rows of an image with channels last.

    Attributes:
        shape: (1, H, W, C). dtype: of the values.
    """

    kind: ClassVar[str] = "input_rows"
    comes_from_caller: ClassVar[bool] = True

    shape: tuple[int, int, int, int]
    dtype: DType

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((self.shape, self.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        raise NotImplementedError("the caller has the rows")

    def on_padded(self, sig: Signature, rows: int, columns: int | None) -> Op | None:
        if columns is not None:
            return None
        return InputRows((1, rows, *self.shape[2:]), self.dtype)

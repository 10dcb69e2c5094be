"""The model's input, row by row from the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from tinycompile.access import Access, Given
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType


@dataclass(frozen=True)
class InputRows(Op):
    """Made by the compiler for `--input-stream rows`: a callback gives the next rows of an image with channels last.

    Attributes:
        shape: (1, H, W, C). dtype: of the values.
    """

    kind: ClassVar[str] = "input_rows"

    shape: tuple[int, int, int, int]
    dtype: DType

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((self.shape, self.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        raise NotImplementedError("the caller has the rows")

    def access(self, sig: Signature, operand: int) -> Access:
        return Given()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        """Rows, which are whole."""
        match list(sizes):
            case [int(rows), None]:
                return replace(self, shape=(1, rows, *self.shape[2:]))
            case _:
                return None

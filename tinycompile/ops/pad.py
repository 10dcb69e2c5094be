"""Padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Region, Signature, TensorType
from tinycompile.ops._rules import first_reason, not_quantized


@dataclass(frozen=True)
class Pad(Op):
    """int8, any axes, at most 8 dimensions; the fill is the output's zero point (PAD) or a constant (PADV2); copies the
    int8 values as they are, whatever scales input and output have.

    Attributes:
        amounts: (before, after) per axis.
        value: the fill, an int8 value.
    """

    kind: ClassVar[str] = "pad"

    amounts: tuple[tuple[int, int], ...]
    value: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if len(self.amounts) != len(shape) or any(n < 0 for pair in self.amounts for n in pair):
            raise ValueError(f"{self.amounts} doesn't say how to pad {inputs[0]}")
        padded = (n + before + after for n, (before, after) in zip(shape, self.amounts, strict=True))
        return ((tuple(padded), inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.pad(inputs[0], self.amounts, constant_values=self.value),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_quantized(sig.input, "the input"), not_quantized(sig.output, "the output")))

    def on_padded(self, sig: Signature, rows: int, columns: int | None) -> Op | None:
        if len(self.amounts) != 4 or self.amounts[0] != (0, 0):
            return None
        kept = ((0, 0), (0, 0), self.amounts[2] if columns is None else (0, 0), self.amounts[3])
        return replace(self, amounts=kept)

    def row_fill(self, sig: Signature) -> int:
        return self.value

    def input_region(self, sig: Signature, region: Region, operand: int) -> Region | None:
        """The same place in the input's coordinates; what lies outside the input is fill."""
        if len(self.amounts) != 4:
            return None
        top, left = self.amounts[1][0], self.amounts[2][0]
        return Region(region.y0 - top, region.y1 - top, region.x0 - left, region.x1 - left)

"""Padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Whole, Windowed
from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._rules import first_reason, not_quantized
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Pad(Typed):
    """int8, any axes, at most 8 dimensions; the fill is the output's zero point (PAD) or a constant (PADV2); copies the
    int8 values as they are, whatever scales input and output have. float32, at most 6 dimensions.

    Attributes:
        amounts: (before, after) per axis.
        value: the fill; of int8 tensors an integer.
    """

    kind: ClassVar[str] = "pad"

    amounts: tuple[tuple[int, int], ...]
    value: float

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if len(self.amounts) != len(shape) or any(n < 0 for pair in self.amounts for n in pair):
            raise ValueError(f"{self.amounts} doesn't say how to pad {inputs[0]}")
        padded = (n + before + after for n, (before, after) in zip(shape, self.amounts, strict=True))
        return ((tuple(padded), inputs[0].dtype),)

    def meanings(self) -> Meanings:
        integers = Meaning(self._bordered, self._limits)
        return {INT8: integers, INT16: integers, FLOAT32: Meaning(self._bordered, real.other_types)}

    def _bordered(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.pad(inputs[0], self.amounts, constant_values=inputs[0].dtype.type(self.value)),)

    def _limits(self, sig: Signature) -> str | None:
        low, high = sig.input.dtype.range
        fits = low <= self.value <= high and self.value == int(self.value)
        return first_reason(
            (
                not_quantized(sig.input, "the input", INT8, INT16),
                not_quantized(sig.output, "the output", sig.input.dtype),
                None if fits else f"the fill is {self.value}, supported are integers from {low} to {high}",
            )
        )

    def access(self, sig: Signature, operand: int) -> Access:
        """A window of one position that slides over the padding as well."""
        padding = self.amounts[1:-1]
        one = (1,) * len(padding)
        return Windowed(one, one, one, padding, self.value) if self.amounts[0] == (0, 0) else Whole()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        inner = tuple(pair if size is None else (0, 0) for pair, size in zip(self.amounts[1:-1], sizes, strict=True))
        return replace(self, amounts=(self.amounts[0], *inner, self.amounts[-1]))

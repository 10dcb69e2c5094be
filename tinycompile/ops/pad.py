"""Padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Whole, Windowed
from tinycompile.dtypes import INT8, DType
from tinycompile.ir import Array, Node, Op, Signature, TensorType
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import first_reason, not_quantized
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_as_values
from tinycompile.ops.slice import Slice


@dataclass(frozen=True)
class Pad(Differentiable):
    """Any type, any axes, at most 8 dimensions; the fill is the output's zero point (PAD) or a constant (PADV2); copies
    quantised values as they are, whatever scales input and output have.

    Attributes:
        amounts: (before, after) per axis.
        value: the fill; of integers one of them.
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

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.pad(inputs[0], self.amounts, constant_values=inputs[0].dtype.type(self.value)),)

    def unsupported(self, sig: Signature) -> str | None:
        dtype = sig.input.dtype
        reasons = [not_movable(sig.input)]
        if dtype == INT8:
            reasons += [not_quantized(sig.input, "the input"), not_quantized(sig.output, "the output")]
        if dtype.is_integer:
            low, high = dtype.range
            fits = low <= self.value <= high and self.value == int(self.value)
            reasons.append(None if fits else f"the fill is {self.value}, supported are integers from {low} to {high}")
        return first_reason(reasons)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        shape = tape.type_of(node.inputs[0]).shape
        op = Slice(tuple(before for before, _ in self.amounts), shape, (1,) * len(shape))
        (values,) = tape.emit(op, gradient.values, meaning="input_gradient")
        add_as_values(tape, node, Gradient(values, gradient.exponent))

    def access(self, sig: Signature, operand: int) -> Access:
        """A window of one position that slides over the padding as well."""
        padding = self.amounts[1:-1]
        one = (1,) * len(padding)
        return Windowed(one, one, one, padding, self.value) if self.amounts[0] == (0, 0) else Whole()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        inner = tuple(pair if size is None else (0, 0) for pair, size in zip(self.amounts[1:-1], sizes, strict=True))
        return replace(self, amounts=(self.amounts[0], *inner, self.amounts[-1]))

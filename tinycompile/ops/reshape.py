"""Reshaping: the same elements in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Node, Signature, TensorType
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_as_values


@dataclass(frozen=True)
class Reshape(Differentiable):
    """Any type; RESHAPE, SQUEEZE and EXPAND_DIMS with constant shapes. RESHAPE and SQUEEZE keep the int8 values,
    whatever scales input and output have; EXPAND_DIMS has the same for both.

    Attributes:
        shape: of the output.
    """

    kind: ClassVar[str] = "reshape"

    shape: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        if prod(self.shape) != inputs[0].elements:
            raise ValueError(f"{inputs[0]} can't have the shape {self.shape}")
        return ((self.shape, inputs[0].dtype),)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        (values,) = tape.emit(Reshape(tape.type_of(node.inputs[0]).shape), gradient.values, meaning="input_gradient")
        add_as_values(tape, node, Gradient(values, gradient.exponent))

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (inputs[0].reshape(self.shape),)

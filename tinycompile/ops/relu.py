"""Rectified linear unit as an operator of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Node, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._elementwise import RealUnary, Unary, WideUnary, requantized
from tinycompile.ops._rules import invalid
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, passed_through


@dataclass(frozen=True)
class Relu(Unary, WideUnary, RealUnary, Differentiable):
    """int8: RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1; input and output may differ in scale and zero point. float32.

    Attributes:
        clamp: inclusive range of an int8 output; a float is at least 0.
    """

    kind: ClassVar[str] = "relu"

    clamp: tuple[int, int] = (-128, 127)

    def requant(self, sig: Signature) -> TfliteRequant:
        """The rule from an input minus its zero point to the output; one channel."""
        real = np.float32(sig.input.scale) / np.float32(sig.output.scale)
        return TfliteRequant(*quantize_multiplier(np.array([real], np.float64)), sig.output.zero_point, *self.clamp)

    def of(self, sig: Signature, x: Array) -> Array:
        return requantized(self.requant(sig), x, sig.input.zero_point).astype(np.int8)

    def wide(self, sig: Signature, x: Array) -> Array:
        return requantized(self.requant(sig), x, 0).astype(np.int16)

    def wide_limits(self, sig: Signature) -> str | None:
        return self.limits(sig)

    def real(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.requant(sig))

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        tape.add(node.inputs[0], passed_through(tape, node, gradient, self.clamp))

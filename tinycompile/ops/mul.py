"""Multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.ir import Array, Node, Signature
from tinycompile.numerics.block_floating import multiplier
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._elementwise import DequantizedBinary, TfliteBinary
from tinycompile.ops._integers import IntegerBinary
from tinycompile.ops._rules import invalid
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_broadcast, passed_through
from tinycompile.ops._training.scaled_gradient import ProductGradient


@dataclass(frozen=True)
class Mul(TfliteBinary, DequantizedBinary, IntegerBinary, Differentiable):
    """int8 operands of any scales and zero points, float32, int32 or int64, that broadcast as in NumPy, one of
    them may be a constant; fused RELU, RELU6 and RELU_N1_TO_1, not of integers without scales.

    Attributes:
        runtime: whose TFLite rule: LiteRT multiplies the scales in float32, TFLM in float64.
    """

    kind: ClassVar[str] = "mul"

    runtime: Runtime = "litert"

    def requant(self, sig: Signature) -> TfliteRequant:
        """TFLite's rule from the product of the operands minus their zero points to the output; one channel."""
        number = np.float32 if self.runtime == "litert" else np.float64
        a, b, y = (number(t.scale) for t in (*sig.inputs, sig.output))
        real = a * b / y
        return TfliteRequant(*quantize_multiplier(np.array([real], np.float64)), sig.output.zero_point, *self.clamp)

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        return self.requant(sig).apply((a * b)[..., None])[..., 0]

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        gradient = passed_through(tape, node, gradient, self.clamp)
        for operand, other in (node.inputs, node.inputs[::-1]):
            if tape.wants(operand):
                op = ProductGradient(multiplier(tape.type_of(other).scale))
                product = Gradient(*tape.emit(op, *gradient, other, meaning="input_gradient"))
                add_broadcast(tape, operand, product)

    def real(self, a: Array, b: Array) -> Array:
        return a * b

    def integer(self, a: Array, b: Array) -> Array:
        return a * b

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.requant(sig))

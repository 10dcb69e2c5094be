"""What ADD and SUB share: both operands brought to one scale, 20 bits below the binary point."""

from __future__ import annotations

from typing import ClassVar

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Node, Signature
from tinycompile.numerics.block_floating import multiplier
from tinycompile.numerics.fixed_point import wrap_int32
from tinycompile.ops._arithmetic.tflite import LEFT_SHIFT, WIDE_LEFT_SHIFT, SumParameters, multiply
from tinycompile.ops._elementwise import DequantizedBinary, TfliteBinary
from tinycompile.ops._rules import invalid
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_broadcast, passed_through
from tinycompile.ops._training.scaled_gradient import SpreadGradient


class Sum(TfliteBinary, DequantizedBinary, Differentiable):
    """Base of Add and Sub.

    Attributes:
        subtracts: the second operand.
    """

    subtracts: ClassVar[bool] = False

    def parameters(self, sig: Signature) -> SumParameters:
        a, b = sig.inputs
        left_shift = WIDE_LEFT_SHIFT if sig.input.dtype == INT16 else LEFT_SHIFT
        return SumParameters.of(a.scale, b.scale, sig.output.scale, left_shift)

    def scaled(self, sig: Signature, a: Array, b: Array) -> tuple[Array, Array]:
        """Both operands at the common scale."""
        p = self.parameters(sig)
        return multiply(a << p.left_shift, p.first), multiply(b << p.left_shift, p.second)

    def rescaled(self, sig: Signature, total: Array) -> Array:
        return wrap_int32(multiply(total, self.parameters(sig).output) + sig.output.zero_point)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.parameters(sig))

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        gradient, (a, b) = passed_through(tape, node, gradient, self.clamp), node.inputs
        if tape.wants(a):
            add_broadcast(tape, a, gradient)
        if tape.wants(b):
            if self.subtracts:
                shape = tape.type_of(gradient.values).shape
                op = SpreadGradient(shape, shape, multiplier(-1.0))
                gradient = Gradient(*tape.emit(op, *gradient, meaning="negated"))
            add_broadcast(tape, b, gradient)

"""What MAXIMUM and MINIMUM share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, Node, Signature
from tinycompile.ops._elementwise import DequantizedBinary, pair_of_integers
from tinycompile.ops._integers import IntegerBinary
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.masks import MaskedGradient
from tinycompile.ops._training.rule import Differentiable, NoGradientError, Tape, add_as_values, passed_through
from tinycompile.ops._typed import Meaning, Meanings


class Extremum(DequantizedBinary, IntegerBinary, Differentiable):
    """One of two elements. TFLite's rule for int8 and int16 compares and copies the bytes, whatever their scales.

    Attributes:
        keeps_larger: which one.
    """

    keeps_larger: ClassVar[bool]

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        """Beside a constant number it is a clamp: what isn't beyond the number has no gradient."""
        known = [tape.values_of(name) for name in node.inputs]
        operand = 0 if known[0] is None else 1
        number, x = known[1 - operand], node.inputs[operand]
        if number is None or number.size != 1:
            raise NoGradientError("which of two tensors had the element isn't kept: one must be a constant number")
        sig = tape.signature(node)
        if sig.inputs[operand].shape != sig.output.shape:
            raise NoGradientError("its operand broadcasts")
        mask = tape.mask(x, self._passing(sig, operand, int(number.flat[0])))
        if self.rule == "onnx":
            gradient = passed_through(tape, node, gradient, self.clamp)
        (values,) = tape.emit(MaskedGradient(), gradient.values, mask, meaning="chosen")
        gradient = Gradient(values, gradient.exponent)
        if self.rule == "onnx":
            tape.add(x, gradient)
        else:
            add_as_values(tape, node, gradient, operand)

    def _passing(self, sig: Signature, operand: int, number: int) -> tuple[int, int]:
        """Between which ends, which don't count, the operand's numbers are beyond the constant."""
        bound = Fraction(number)
        if self.rule == "onnx":
            own, other = sig.inputs[operand], sig.inputs[1 - operand]
            bound = (bound - other.zero_point) * Fraction(other.scale) / Fraction(own.scale) + own.zero_point
        return (math.floor(bound), 128) if self.keeps_larger else (-129, math.ceil(bound))

    def real(self, a: Array, b: Array) -> Array:
        return self.integer(a, b)

    def meanings(self) -> Meanings:
        own = {INT8: Meaning(self._bytes, pair_of_integers), INT16: Meaning(self._bytes, self.wide_refused)}
        own = own if self.rule == "tflite" else {}
        return {**super().meanings(), **own}

    def _bytes(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.integer(inputs[0], inputs[1]),)

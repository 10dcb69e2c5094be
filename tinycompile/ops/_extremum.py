"""What MAXIMUM and MINIMUM share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, Node, Quantization, Signature
from tinycompile.ops._elementwise import DequantizedBinary, pair_of_integers
from tinycompile.ops._integers import IntegerBinary
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.masks import MaskedGradient
from tinycompile.ops._training.rule import (
    Differentiable,
    NoGradientError,
    Tape,
    add_as_values,
    add_broadcast,
    passed_through,
)
from tinycompile.ops._typed import Meaning, Meanings
from tinycompile.ops.sub import Sub


class Extremum(DequantizedBinary, IntegerBinary, Differentiable):
    """One of two elements. TFLite's rule for int8 and int16 compares and copies the bytes, whatever their scales.

    Attributes:
        keeps_larger: which one.
    """

    keeps_larger: ClassVar[bool]

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        """Beside a constant number it is a clamp: what isn't beyond the number has no gradient. Of two tensors the one
        whose element it was has it; where both are equal, the first.
        """
        known = [tape.values_of(name) for name in node.inputs]
        operand = 0 if known[0] is None else 1
        number, sig = known[1 - operand], tape.signature(node)
        if self.rule == "onnx":
            gradient = passed_through(tape, node, gradient, self.clamp)
        if number is None or number.size != 1 or sig.inputs[operand].shape != sig.output.shape:
            self._of_two(tape, node, gradient)
            return
        mask = tape.mask(node.inputs[operand], self._passing(sig, operand, int(number.flat[0])))
        self._add(tape, node, gradient, mask, operand)

    def _of_two(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        a, b = tape.signature(node).inputs
        if self.rule == "tflite" and (a.quant is None or not a.quant.same_as(b.quant)):
            raise NoGradientError("its operands have other scales, whose bytes are compared")
        # What is nearer than an eighth of a step is equal; what is further apart than 16 steps saturates.
        unit = min(a.scale, b.scale) / (4 if self.rule == "onnx" else 1)
        quant, op = Quantization.per_tensor(unit, 0), Sub(rule=self.rule)
        ends = ((-1, 128), (-129, 0)) if self.keeps_larger else ((-129, 1), (0, 128))
        for operand, (name, clamp) in enumerate(zip(node.inputs, ends, strict=True)):
            if tape.wants(name):
                self._add(tape, node, gradient, tape.compared(node, op, quant, clamp), operand)

    def _add(self, tape: Tape, node: Node, gradient: Gradient, mask: str, operand: int) -> None:
        """The gradient of an operand, where the bits of a mask are."""
        sig = tape.signature(node)
        (values,) = tape.emit(MaskedGradient(), gradient.values, mask, meaning="chosen")
        found = Gradient(values, gradient.exponent)
        if self.rule == "onnx" or sig.inputs[operand].scale == sig.output.scale:
            add_broadcast(tape, node.inputs[operand], found)
        elif sig.inputs[operand].shape == sig.output.shape:
            add_as_values(tape, node, found, operand)
        else:
            raise NoGradientError("its operand broadcasts")

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

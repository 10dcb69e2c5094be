"""The gradient of functions of single int8 values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Node, Op, Signature, TensorType
from tinycompile.numerics.block_floating import LARGEST, factor, renormalized
from tinycompile.numerics.fixed_point import Float64Array
from tinycompile.ops._training.gradient import Gradient, Inferred, exponent_array, gradient_of
from tinycompile.ops._training.rule import Tape

ENTRIES = 256


@dataclass(frozen=True)
class FunctionGradient(Op):
    """Gradient (int16, exponent) of a function's result, the int8 values that it was taken of, and its slope at each of
    these by their bits, int16 (256,), to the gradient of the values: products, renormalised.

    Attributes:
        slope_exponent: real slope = entry * 2^slope_exponent.
    """

    kind: ClassVar[str] = "function_gradient"

    slope_exponent: int

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        values, _, x, slopes = inputs
        if values.elements != x.elements or slopes.shape != (ENTRIES,):
            raise ValueError(f"{values} and {slopes} are no gradient and slopes of a function of {x}")
        return gradient_of(values.shape)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent, x, slopes = inputs
        own = slopes[x.reshape(values.shape).view(np.uint8)]
        found, place = renormalized(values.astype(np.int64) * own, int(exponent[0]) + self.slope_exponent)
        return found, exponent_array(place)


def function_vjp(tape: Tape, node: Node, gradient: Gradient, slopes: Float64Array) -> None:
    """Adds the gradient of operand 0 of a function of each of its int8 values.

    Args:
        slopes: (256,) by the values' bits, of real numbers by real numbers; 0 where the result is clamped.
    """
    if tape.wants(node.inputs[0]):
        entries, exponent = _entries(slopes)
        operands = (*gradient, node.inputs[0], tape.constant(entries, "slopes"))
        op = FunctionGradient(exponent)
        tape.add(node.inputs[0], Gradient(*tape.emit(op, *operands, meaning="input_gradient")))


def _entries(slopes: Float64Array) -> tuple[Array, int]:
    """(int16, their exponent): the steepest has 15 bits."""
    steepest = float(np.abs(slopes).max())
    if steepest == 0:
        return np.zeros(slopes.shape, INT16.carrier), 0
    _, exponent = factor(steepest)
    entries = np.floor(np.ldexp(slopes, -exponent) + 0.5)
    return np.clip(entries, -LARGEST, LARGEST).astype(INT16.carrier), exponent

"""Concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import INT8, DType
from tinycompile.ir import Array, Node, Signature, TensorType
from tinycompile.ops._movement import not_movable
from tinycompile.ops._rules import all_quantized, first_reason, not_quantized, rescales
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape
from tinycompile.ops.slice import Slice


@dataclass(frozen=True)
class Concatenation(Differentiable):
    """Any type, any number of operands along any axis, constants included; quantised ones have the scale and zero point
    of the output. CONCATENATION and PACK.

    Attributes:
        axis: not negative.
    """

    kind: ClassVar[str] = "concatenation"

    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        first = inputs[0].shape
        if not 0 <= self.axis < len(first):
            raise ValueError(f"axis {self.axis} is not an axis of {inputs[0]}")
        others = {(*t.shape[: self.axis], *t.shape[self.axis + 1 :]) for t in inputs}
        if len(others) != 1 or len({len(t.shape) for t in inputs}) != 1:
            raise ValueError(f"{', '.join(map(str, inputs))} differ in more than axis {self.axis}")
        total = sum(t.shape[self.axis] for t in inputs)
        return (((*first[: self.axis], total, *first[self.axis + 1 :]), inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.concatenate(inputs, axis=self.axis),)

    def unsupported(self, sig: Signature) -> str | None:
        if sig.output.dtype != INT8:
            return not_movable(sig.output, "the output") or first_reason(self._differs(sig, t) for t in sig.inputs)
        quantized = (all_quantized(sig.inputs, "operand"), not_quantized(sig.output, "the output"))
        return first_reason(quantized) or first_reason(rescales(t, sig.output) for t in sig.inputs)

    def _differs(self, sig: Signature, t: TensorType) -> str | None:
        """How an operand of another type than int8 differs from the result."""
        if t.dtype != sig.output.dtype:
            return f"an operand is {t.dtype}, the output is {sig.output.dtype}"
        if t.quant is None and sig.output.quant is None:
            return None
        return (
            not_quantized(t, "an operand", t.dtype)
            or not_quantized(sig.output, "the output", t.dtype)
            or rescales(t, sig.output)
        )

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        whole, begin = tape.type_of(node.outputs[0]).shape, 0
        for operand in node.inputs:
            size = tape.type_of(operand).shape[self.axis]
            if tape.wants(operand):
                op = Slice.of_axis(whole, self.axis, begin, size)
                (values,) = tape.emit(op, gradient.values, meaning="input_gradient")
                tape.add(operand, Gradient(values, gradient.exponent))
            begin += size

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise() if self.axis == len(sig.output.shape) - 1 > 0 else Whole()

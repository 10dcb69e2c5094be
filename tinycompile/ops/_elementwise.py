"""What operators that treat every element alike share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.access import Access, Pointwise
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.requant import Requant
from tinycompile.ops._rules import first_reason, not_quantized

INT8_VALUES = np.arange(256, dtype=np.uint8).view(np.int8)
"""All int8 values in the order of their bit patterns: 0 .. 127, -128 .. -1."""


class Elementwise(Op):
    """One input, one output of the same shape."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise()


class Unary(Elementwise):
    """A function int8 -> int8 of one element, which 256 table entries define completely."""

    @abstractmethod
    def of(self, sig: Signature, x: Array) -> Array:
        """The function: int8 values of any shape to int8 values."""

    def table(self, sig: Signature) -> Array:
        """int8, shape (256,): entry `(uint8_t)q` is the result for the input q."""
        return self.of(sig, INT8_VALUES)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.table(sig)[inputs[0].view(np.uint8)],)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((not_quantized(sig.input, "the input"), not_quantized(sig.output, "the output")))


@dataclass(frozen=True)
class Binary(Op):
    """Two int8 operands, either of them a constant, that broadcast to the output as in NumPy.

    Attributes:
        clamp: inclusive range of the int8 output, which a fused activation narrows.
    """

    clamp: tuple[int, int] = (-128, 127)

    @property
    def label(self) -> str:
        """What it is called in code and report."""
        return self.kind

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        a, b = inputs
        return ((np.broadcast_shapes(a.shape, b.shape), a.dtype),)

    @abstractmethod
    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        """The result before the clamp (int64), of operands minus their zero points (int64)."""

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        a, b = (x.astype(np.int64) - t.zero_point for x, t in zip(inputs, sig.inputs, strict=True))
        return (np.clip(self.combine(sig, a, b), *self.clamp).astype(np.int8),)

    def unsupported(self, sig: Signature) -> str | None:
        a, b = sig.inputs
        return first_reason(
            (
                not_quantized(a, "the first operand"),
                not_quantized(b, "the second operand"),
                not_quantized(sig.output, "the output"),
            )
        )

    def access(self, sig: Signature, operand: int) -> Access:
        return broadcast(sig.inputs[operand].shape, sig.output.shape)


def broadcast(shape: tuple[int, ...], result: tuple[int, ...]) -> Pointwise:
    """The access to an operand that broadcasts to a result as in NumPy: to its last axes."""
    sizes = (1,) * (len(result) - len(shape)) + shape
    return Pointwise(frozenset(axis - 1 for axis in range(1, len(result) - 1) if sizes[axis] < result[axis]))


def requantized(rule: Requant, x: Array, zero_point: int) -> Array:
    """`rule` applied to 8-bit values minus their zero point; the rule has one channel."""
    return rule.apply((x.astype(np.int64) - zero_point)[..., None])[..., 0]

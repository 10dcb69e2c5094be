"""Gradients of a value that several operators read, or that broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import MANTISSA_BITS, joined, narrowed, renormalized, width
from tinycompile.ops._training.gradient import Inferred, exponent_array, gradient_of


@dataclass(frozen=True)
class JoinedGradients(Op):
    """The sum of two gradients (int16, exponent) of one value, at the larger exponent, renormalised."""

    kind: ClassVar[str] = "joined_gradients"

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        if inputs[0].shape != inputs[2].shape:
            raise ValueError(f"{inputs[0]} and {inputs[2]} are gradients of different values")
        return gradient_of(inputs[0].shape)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        a, a_exponent, b, b_exponent = inputs
        values, exponent = joined(a, int(a_exponent[0]), b, int(b_exponent[0]))
        return values, exponent_array(exponent)


@dataclass(frozen=True)
class ReducedGradient(Op):
    """Gradient (int16, exponent) of what a value broadcast to, to its own: sums, renormalised.

    Attributes:
        shape: of the value, whose missing first axes count as 1.
    """

    kind: ClassVar[str] = "reduced_gradient"

    shape: tuple[int, ...]

    def aligned(self, rank: int) -> tuple[int, ...]:
        """The shape with so many axes."""
        return (1,) * (rank - len(self.shape)) + self.shape

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        from_shape = inputs[0].shape
        if any(n not in (1, wide) for n, wide in zip(self.aligned(len(from_shape)), from_shape, strict=True)):
            raise ValueError(f"{self.shape} doesn't broadcast to {inputs[0]}")
        return gradient_of(self.shape)

    def bits(self, sig: Signature) -> int:
        """Of the gradient that is added up."""
        return width(sig.input.elements // prod(self.shape), 1)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent = inputs
        bits = self.bits(sig)
        sizes = self.aligned(values.ndim)
        axes = tuple(axis for axis, n in enumerate(sizes) if n < values.shape[axis])
        sums = narrowed(values, bits).sum(axis=axes).reshape(self.shape)
        found, place = renormalized(sums, int(exponent[0]) + MANTISSA_BITS - bits)
        return found, exponent_array(place)

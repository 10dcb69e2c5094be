"""Gradients times numbers: of another operand, or the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import MANTISSA_BITS, renormalized, scaled
from tinycompile.ops._training.gradient import Inferred, exponent_array, gradient_of


@dataclass(frozen=True)
class ProductGradient(Op):
    """Gradient (int16, exponent) of a product of int8 operands, and one of these, to the gradient of the other, before
    it is reduced to a shape that broadcast: times the operand minus its zero point, renormalised, times its scale.

    Attributes:
        scale: (mantissa, exponent) of the operand's scale.
    """

    kind: ClassVar[str] = "product_gradient"

    scale: tuple[int, int]

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        if np.broadcast_shapes(inputs[0].shape, inputs[2].shape) != inputs[0].shape:
            raise ValueError(f"{inputs[2]} is no factor of {inputs[0]}")
        return gradient_of(inputs[0].shape)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent, other = inputs
        products = values.astype(np.int64) * (other.astype(np.int64) - sig.inputs[2].zero_point)
        found, place = renormalized(products, int(exponent[0]))
        mantissa, own = self.scale
        values = scaled(found, mantissa, MANTISSA_BITS).astype(np.int16)
        return values, exponent_array(place + MANTISSA_BITS + own)


@dataclass(frozen=True)
class SpreadGradient(Op):
    """Gradient (int16, exponent) of a mean to that of what it is the mean of: every element gets its share. With no
    axes that are new: times a number.

    Attributes:
        shape: of the operand. kept: of the gradient, with reduced axes as 1.
        share: (mantissa, exponent) of what an element counts.
    """

    kind: ClassVar[str] = "spread_gradient"

    shape: tuple[int, ...]
    kept: tuple[int, ...]
    share: tuple[int, int]

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        if np.broadcast_shapes(self.kept, self.shape) != self.shape or np.prod(self.kept) != inputs[0].elements:
            raise ValueError(f"{inputs[0]} is no mean of {self.shape}")
        return gradient_of(self.shape)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent = inputs
        mantissa, own = self.share
        found = scaled(values, mantissa, MANTISSA_BITS).astype(np.int16)
        spread = np.ascontiguousarray(np.broadcast_to(found.reshape(self.kept), self.shape))
        return spread, exponent_array(int(exponent[0]) + MANTISSA_BITS + own)

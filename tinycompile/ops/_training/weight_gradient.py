"""The gradients of a layer's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import MANTISSA_BITS, narrowed, width
from tinycompile.ops._training.gradient import Inferred, exponent_array, sums_of
from tinycompile.ops._training.linear_geometry import LinearGeometry

LARGEST_INPUT = 255
"""Of int8 inputs minus their zero point."""


@dataclass(frozen=True)
class WeightGradient(Op):
    """Gradient (int16, exponent) of a layer's int8 output, and its int8 input, to the gradient of its weights: int32
    sums over all positions, times the input's scale.

    Attributes:
        geometry: of the layer, with those weights whose gradient is wanted.
    """

    kind: ClassVar[str] = "weight_gradient"

    geometry: LinearGeometry

    @property
    def bits(self) -> int:
        """Of the gradient that is multiplied with inputs."""
        return width(self.geometry.terms_of_weight, LARGEST_INPUT)

    @property
    def exponent_change(self) -> int:
        return MANTISSA_BITS - self.bits

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        values, _, x = inputs
        if values.elements != self.geometry.terms_of_weight * self.geometry.outputs:
            raise ValueError(f"{values} is no gradient of the output of {self.geometry}")
        if x.elements != np.prod(self.geometry.image):
            raise ValueError(f"{x} is no input of {self.geometry}")
        return sums_of(self.geometry.weights)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent, x = inputs
        geometry = self.geometry
        own = narrowed(values.reshape(*geometry.positions, geometry.outputs), self.bits)
        centred = x.reshape(geometry.image).astype(np.int64) - sig.inputs[2].zero_point
        sums = geometry.weight_sums(own, centred)
        return sums.astype(np.int32), exponent_array(int(exponent[0]) + self.exponent_change)

    def macs(self, sig: Signature) -> int:
        return self.geometry.macs


@dataclass(frozen=True)
class BiasGradient(Op):
    """Gradient (int16, exponent) of a layer's output to that of its bias: int32 sums over all but the last axis."""

    kind: ClassVar[str] = "bias_gradient"

    def bits(self, sig: Signature) -> int:
        """Of the gradient that is added up."""
        return width(sig.input.elements // sig.input.shape[-1], 1)

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        return sums_of(inputs[0].shape[-1:])

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent = inputs
        bits = self.bits(sig)
        sums = narrowed(values.reshape(-1, values.shape[-1]), bits).sum(axis=0)
        return sums.astype(np.int32), exponent_array(int(exponent[0]) + MANTISSA_BITS - bits)

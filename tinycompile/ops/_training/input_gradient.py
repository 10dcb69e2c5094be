"""The gradient of a layer's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import MANTISSA_BITS, renormalized, scaled, width
from tinycompile.ops._training.gradient import Inferred, exponent_array, gradient_of
from tinycompile.ops._training.linear_geometry import LinearGeometry

LARGEST_WEIGHT = 128


@dataclass(frozen=True)
class InputGradient(Op):
    """Gradient (int16, exponent) of a layer's int8 output, its int8 weights and the mantissas of their scales, int16
    (1,) or (C_out,), to the gradient of its input: a product with the transposed weights.

    Attributes:
        geometry: of the layer.
        shape: of the input.
        scale_exponent: of the mantissas.
    """

    kind: ClassVar[str] = "input_gradient"

    geometry: LinearGeometry
    shape: tuple[int, ...]
    scale_exponent: int

    @property
    def bits(self) -> int:
        """Of the scaled gradient that is multiplied with weights."""
        return width(self.geometry.terms_of_input, LARGEST_WEIGHT)

    @property
    def exponent_change(self) -> int:
        """From the incoming gradient's exponent to that of the sums."""
        return 2 * MANTISSA_BITS - self.bits + self.scale_exponent

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        values, _, weights, _ = inputs
        if values.elements != self.geometry.terms_of_weight * self.geometry.outputs:
            raise ValueError(f"{values} is no gradient of the output of {self.geometry}")
        if weights.shape != self.geometry.weights:
            raise ValueError(f"the weights are {weights}, expected are {self.geometry.weights}")
        return gradient_of(self.shape)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent, weights, mantissas = inputs
        geometry = self.geometry
        own = scaled(values.reshape(*geometry.positions, geometry.outputs), mantissas, self.bits)
        sums = geometry.input_sums(own, weights)
        found, place = renormalized(sums.reshape(self.shape), int(exponent[0]) + self.exponent_change)
        return found, exponent_array(place)

    def macs(self, sig: Signature) -> int:
        return self.geometry.macs

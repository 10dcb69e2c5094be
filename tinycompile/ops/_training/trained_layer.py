"""The forward pass of a layer whose weights or biases are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Everywhere
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import BIAS_LIMIT
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._training.gradient import Inferred
from tinycompile.ops.fully_connected import FullyConnected

MOST_TERMS = 1 << 15
"""With which sums and biases of up to 2^30 stay within 32 bits."""


@dataclass(frozen=True)
class TrainedLayer(Op):
    """A convolution or fully connected layer of int8 whose weights or bias are values in RAM: it means the same, but
    kernels can't be made for what the weights are.

    Attributes:
        layer: the operator.
        bias_limit: a bias further from 0 is taken as so far.
    """

    kind: ClassVar[str] = "trained_layer"

    layer: Convolution | FullyConnected
    bias_limit: int = BIAS_LIMIT

    @property
    def title(self) -> str:
        return f"trained {self.layer.title}"

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        return self.layer.infer(inputs)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        image, weights, *bias = inputs
        return self.layer.evaluate(sig, (image, weights, *map(self.taken, bias)))

    def taken(self, bias: Array) -> Array:
        """A bias as the layer takes it."""
        return np.clip(bias, -self.bias_limit, self.bias_limit)

    def access(self, sig: Signature, operand: int) -> Access:
        return self.layer.access(sig, 0) if operand == 0 else Everywhere()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        layer = self.layer.part(sig, sizes)
        return replace(self, layer=layer) if isinstance(layer, Convolution | FullyConnected) else None

    def terms(self, sig: Signature) -> int:
        """Products of which an output is the sum."""
        return sig.inputs[1].elements // sig.output.shape[-1]

    def unsupported(self, sig: Signature) -> str | None:
        many = f"an output is a sum of {self.terms(sig):,} products, a trained layer's has up to {MOST_TERMS:,}"
        return self.layer.unsupported(sig) or (many if self.terms(sig) > MOST_TERMS else None)

    def macs(self, sig: Signature) -> int:
        return self.layer.macs(sig)

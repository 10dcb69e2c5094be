"""Maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Node, Signature
from tinycompile.ops._pool import Pool
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.pool_gradient import MaxPoolGradient
from tinycompile.ops._training.rule import Tape


@dataclass(frozen=True)
class MaxPool2D(Pool):
    """int8 (N = 1) or float32, any window, stride and padding; only positions inside the input count. int8 values are
    copied as they are, whatever scales input and output have; with fused RELU, RELU6 and RELU_N1_TO_1. float32 with any
    dilation.
    """

    kind: ClassVar[str] = "max_pool2d"

    def fill(self, sig: Signature) -> float | None:
        """Never the maximum, unless it is equal to it; of floats there is no such number."""
        return None if sig.input.dtype.is_float else sig.input.dtype.range[0]

    def integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0]
        return (np.clip(self._largest(x, sig.input.dtype.range[0]), *self.clamp).astype(x.dtype),)

    def handed_down(self, tape: Tape, node: Node, gradient: Gradient) -> Gradient:
        x = node.inputs[0]
        op = MaxPoolGradient(self.slid, tape.type_of(x).shape)
        return Gradient(*tape.emit(op, *gradient, x, meaning="input_gradient"))

    def real(self, x: Array) -> Array:
        return self._largest(x, -np.inf)

    def _largest(self, x: Array, outside: float) -> Array:
        return reduce(np.maximum, (tap for _, _, tap in self.slid.taps(self.slid.pad(x, outside))))

"""Maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._pool import Pool


@dataclass(frozen=True)
class MaxPool2D(Pool):
    """int8 (N = 1), any window, stride and padding; only positions inside the input count; copies the int8 values as
    they are, whatever scales input and output have; fused RELU, RELU6 and RELU_N1_TO_1.
    """

    kind: ClassVar[str] = "max_pool2d"

    def fill(self, sig: Signature) -> float:
        """Never the maximum, unless it is equal to it."""
        return -128

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        window = self.window_of(sig)
        largest = reduce(np.maximum, (tap for _, _, tap in window.taps(window.pad(inputs[0], -128))))
        return (np.clip(largest, *self.clamp).astype(np.int8),)

"""Average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._pool import Pool


@dataclass(frozen=True)
class AveragePool2D(Pool):
    """int8 (N = 1), any window, stride and padding; only positions inside the input count; input and output have the
    same scale and zero point; fused RELU, RELU6 and RELU_N1_TO_1.
    """

    kind: ClassVar[str] = "average_pool2d"

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Sum / count, halves away from zero, of the int8 values as they are (`integer_ops/pooling.h`)."""
        window = self.window_of(sig)
        x = inputs[0].astype(np.int32)
        inside = np.ones((*x.shape[:3], 1), np.int32)
        total = sum((tap for _, _, tap in window.taps(window.pad(x, 0))), np.int32(0))
        count = sum((tap for _, _, tap in window.taps(window.pad(inside, 0))), np.int32(0))
        rounded = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return (np.clip(rounded, *self.clamp).astype(np.int8),)

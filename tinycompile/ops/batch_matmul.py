"""Matrix products of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._typed import Meanings, Typed


@dataclass(frozen=True)
class BatchMatMul(Typed):
    """float32 (..., m, k) times (..., k, n), either of them a constant; the leading axes broadcast as in NumPy.

    Rows times the same constant matrix are a `FullyConnected`.
    """

    kind: ClassVar[str] = "batch_matmul"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        a, b = inputs[0].shape, inputs[1].shape
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            raise ValueError(f"{inputs[0]} and {inputs[1]} can't be multiplied")
        return (((*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]), inputs[0].dtype),)

    def meanings(self) -> Meanings:
        return {FLOAT32: real.meaning(self._real)}

    def _real(self, a: Array, b: Array) -> Array:
        return np.matmul(a.astype(np.float64), b.astype(np.float64))

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * sig.input.shape[-1]

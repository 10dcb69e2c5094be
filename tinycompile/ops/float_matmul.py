"""Matrix products of floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import FloatOp


@dataclass(frozen=True)
class FloatMatMul(FloatOp):
    """float32 (..., m, k) times (..., k, n), either of them a constant; the leading axes broadcast as in NumPy."""

    kind: ClassVar[str] = "float_matmul"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        a, b = inputs[0].shape, inputs[1].shape
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            raise ValueError(f"{inputs[0]} and {inputs[1]} can't be multiplied")
        return (((*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        a, b = (x.astype(np.float64) for x in inputs)
        return (np.matmul(a, b).astype(np.float32),)

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * sig.input.shape[-1]

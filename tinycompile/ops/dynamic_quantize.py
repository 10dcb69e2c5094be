"""Quantisation of a tensor by its own range, while the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import wrong_dtype

_STEPS = np.float32(255)


@dataclass(frozen=True)
class DynamicQuantize(Op):
    """float32 to int8, its scale (float32) and its zero point (int8): ONNX's DynamicQuantizeLinear, whose uint8 are
    lower by 128. The range is that of all elements and 0; a tensor of zeros has the scale 1. What infinities and NaNs
    become is open.
    """

    kind: ClassVar[str] = "dynamic_quantize"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return (inputs[0].shape, INT8), ((), FLOAT32), ((), INT8)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0].astype(np.float32)
        low, high = np.minimum(x.min(), np.float32(0)), np.maximum(x.max(), np.float32(0))
        with np.errstate(all="ignore"):
            scale = np.float32(1) if low == high else (high - low) / _STEPS
            zero_point = np.rint(np.clip(-low / scale, np.float32(0), _STEPS))
            steps = np.clip(np.rint(x / scale).astype(np.float64) + zero_point, 0, 255)
        return (
            (steps - 128).astype(np.int8),
            np.array(scale, np.float32),
            np.array(zero_point - 128).astype(np.int8),
        )

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_dtype(sig.input, "the input", FLOAT32)

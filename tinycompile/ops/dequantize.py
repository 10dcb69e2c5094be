"""Dequantisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._elementwise import Elementwise
from tinycompile.ops._rules import first_reason, not_quantized, wrong_dtype


@dataclass(frozen=True)
class Dequantize(Elementwise):
    """int8, uint8 or int16 to float32: scale * (q - zero_point), rounded once."""

    kind: ClassVar[str] = "dequantize"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        centred = inputs[0].astype(np.int32) - np.int32(sig.input.zero_point)
        with np.errstate(over="ignore"):  # to infinity, as in LiteRT
            return (centred.astype(np.float32) * np.float32(sig.input.scale),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.input, "the input", INT8, UINT8, INT16),
                wrong_dtype(sig.output, "the output", FLOAT32),
            )
        )

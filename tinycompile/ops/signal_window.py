"""A window function over frames of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import check_range, wrong_types


@dataclass(frozen=True)
class SignalWindow(Op):
    """int16: frames (..., n) times weights (n,), shifted to the right, saturated.

    Attributes:
        shift: bits after the binary point of the weights.
    """

    kind: ClassVar[str] = "signal_window"

    shift: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, weights = inputs
        if not x.shape or weights.shape != x.shape[-1:]:
            raise ValueError(f"weights {weights} of frames {x}")
        check_range(self.shift, "the shift", 0, 31)
        return ((x.shape, x.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, weights = (value.astype(np.int64) for value in inputs)
        return (np.clip((x * weights) >> self.shift, *INT16.range).astype(np.int16),)

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_types(sig.inputs, ("the input", "the window"), (INT16, INT16))

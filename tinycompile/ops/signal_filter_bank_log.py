"""Logarithms of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.integer_log import scaled_log
from tinycompile.ops._signal import channels_of, check_range, check_vectors


@dataclass(frozen=True)
class SignalFilterBankLog(Op):
    """uint32 channels (n,) to int16: `scale` times the natural logarithm, by a table of 128 pieces; 0 for 0 and 1.

    Attributes:
        scale: of the result, at most 32767.
        shift: bits by which channels are shifted to the left before.
    """

    kind: ClassVar[str] = "signal_filter_bank_log"

    scale: int
    shift: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs, None)
        check_range(self.shift, "the shift of channels", 0, 31)
        check_range(self.scale, "the scale of logarithms", 0, (1 << 31) - 1)
        return ((inputs[0].shape, INT16),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = (inputs[0].astype(np.int64) << self.shift) & 0xFFFFFFFF
        return (np.minimum(scaled_log(x, self.scale), INT16.range[1]).astype(np.int16),)

    def unsupported(self, sig: Signature) -> str | None:
        return channels_of(sig)

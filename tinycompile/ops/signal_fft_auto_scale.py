"""Samples as large as they can be before a transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, INT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import channels_of, check_vectors


@dataclass(frozen=True)
class SignalFftAutoScale(Op):
    """int16: samples times the largest power of two that leaves the largest of them in range, and its logarithm.

    As in TFLM, which keeps the largest magnitude in 16 bits: that of -32768 is -32768, any sample behind it counts as
    larger, and nothing is scaled while it is negative.
    """

    kind: ClassVar[str] = "signal_fft_auto_scale"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs, None)
        return (inputs[0].shape, inputs[0].dtype), ((), INT32)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0].astype(np.int64)
        largest = _largest(x)
        bits = max(15 - largest.bit_length(), 0) if largest > 0 else 0
        return (x << bits).astype(np.int16), np.array(bits, np.int32)

    def unsupported(self, sig: Signature) -> str | None:
        return channels_of(sig, dtype=INT16)


def _largest(x: Array) -> int:
    """Behind the last -32768, which forgets what came before."""
    (ends,) = np.nonzero(x == INT16.range[0])
    if not len(ends):
        return int(np.abs(x).max(initial=0))
    largest = INT16.range[0]
    for value in x[ends[-1] + 1 :]:
        largest = int(value) if value > largest else int(-value) if -value > largest else largest
    return largest

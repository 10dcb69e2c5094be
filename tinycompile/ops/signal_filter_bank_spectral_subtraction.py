"""Noise taken away from channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import UINT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import check_range, check_vectors, wrong_types

MOST = (1 << 31) - 1


@dataclass(frozen=True)
class SignalFilterBankSpectralSubtraction(Op):
    """uint32 channels (n,) and the estimate of their noise, a state: the channels without it, at least a part of
    each, and
    the new estimate, a running mean.

    Attributes:
        smoothing: weight of a channel in the mean, for channels with an even number and an odd one; `kept`: that of the
            estimate. `remaining`: the part that stays at least. All with `bits` bits after the binary point.
        smoothing_bits: bits that an estimate has more than a channel.
        clamping: an estimate is never more than the channel.
    """

    kind: ClassVar[str] = "signal_filter_bank_spectral_subtraction"

    smoothing: tuple[int, int]
    kept: tuple[int, int]
    remaining: int
    smoothing_bits: int
    bits: int
    clamping: bool

    @property
    def updates(self) -> Mapping[int, int]:
        """Channel by channel."""
        return {1: 1}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs, None, inputs[0].shape[0] if inputs[0].shape else None)
        for value in (*self.smoothing, *self.kept, self.remaining):
            check_range(value, "a weight", 0, MOST)
        check_range(self.smoothing_bits, "the bits of an estimate", 0, 31)
        check_range(self.bits, "the bits of weights", 0, 63)
        return (inputs[0].shape, UINT32), (inputs[0].shape, UINT32)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, before = (value.astype(np.uint64) for value in inputs[:2])
        low, bits, more = np.uint64(0xFFFFFFFF), np.uint64(self.bits), np.uint64(self.smoothing_bits)
        new, old = (np.resize(np.array(pair, np.uint64), x.shape) for pair in (self.smoothing, self.kept))
        signal = (x << more) & low
        noise = ((signal * new + before * old) >> bits) & low
        taken = np.minimum(noise, signal)
        least = ((x * np.uint64(self.remaining)) >> bits) & low
        left = np.maximum((signal - taken) >> more, least)
        return left.astype(np.uint32), (taken if self.clamping else noise).astype(np.uint32)

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_types(sig.inputs, ("the input", "the estimate"), (UINT32, UINT32))

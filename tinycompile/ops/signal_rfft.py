"""Fourier transform of real samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics import fixed_fft
from tinycompile.ops._signal import Transform, check_transform


@dataclass(frozen=True)
class SignalRfft(Transform):
    """int16 and int32 in kissfft's fixed point, which divides by the length, and float32: frames (..., samples), filled
    up with zeros, to spectra (..., 2 * (length / 2 + 1)), real and imaginary parts beside each other.

    Attributes:
        length: even, half of it a product of 2, 3 and 5.
    """

    kind: ClassVar[str] = "signal_rfft"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        (x,) = inputs
        points = check_transform(self.length)
        if not x.shape or not 1 <= x.shape[-1] <= self.length:
            raise ValueError(f"frames {x} in a transform of {self.length} points")
        return (((*x.shape[:-1], 2 * (points + 1)), x.dtype),)

    def _frames(self, x: Array) -> Array:
        room = [(0, 0)] * (x.ndim - 1) + [(0, self.length - x.shape[-1])]
        return np.pad(x, room)

    def _fixed(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        dtype = sig.input.dtype
        found = fixed_fft.real_transform(self._frames(inputs[0]).astype(np.int64), dtype.bits)
        return (found.reshape(sig.output.shape).astype(dtype.carrier),)

    def _real(self, x: Array) -> Array:
        found = np.fft.rfft(self._frames(x.astype(np.float64)))
        return np.stack([found.real, found.imag], -1).reshape(*x.shape[:-1], -1)

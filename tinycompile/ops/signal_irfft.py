"""Inverse Fourier transform to real samples."""

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
class SignalIrfft(Transform):
    """int16 and int32 in kissfft's fixed point, and float32: spectra (..., 2 * (length / 2 + 1)), real and imaginary
    parts beside each other, to frames (..., length). Integers are half of what they would be: both transforms divide.

    Attributes:
        length: even, half of it a product of 2, 3 and 5.
    """

    kind: ClassVar[str] = "signal_irfft"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        (x,) = inputs
        points = check_transform(self.length)
        if not x.shape or x.shape[-1] != 2 * (points + 1):
            raise ValueError(f"spectra {x} of a transform of {self.length} points")
        return (((*x.shape[:-1], self.length), x.dtype),)

    def _spectra(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self.length // 2 + 1, 2)

    def _fixed(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        dtype = sig.input.dtype
        found = fixed_fft.inverse_real_transform(self._spectra(inputs[0]).astype(np.int64), dtype.bits)
        return (found.astype(dtype.carrier),)

    def _real(self, x: Array) -> Array:
        """The imaginary parts of the first and the last one don't count."""
        parts = self._spectra(x.astype(np.float64))
        return np.fft.irfft(parts[..., 0] + 1j * parts[..., 1], self.length)

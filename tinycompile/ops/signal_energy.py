"""Energies of a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, UINT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import channels_of, check_vectors


@dataclass(frozen=True)
class SignalEnergy(Op):
    """int16: squared magnitudes, uint32, of complex numbers, whose parts lie beside each other; 0 for those that aren't
    asked for, which TFLM leaves as they were.

    Attributes:
        start, end: the first one, and the one behind the last.
    """

    kind: ClassVar[str] = "signal_energy"

    start: int
    end: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs, None)
        count, odd = divmod(inputs[0].shape[0], 2)
        if odd or not 0 <= self.start <= self.end <= count:
            raise ValueError(f"numbers {self.start} to {self.end} of {inputs[0]}, two elements each")
        return (((count,), UINT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        squares = inputs[0].astype(np.int64).reshape(-1, 2) ** 2
        energies = np.zeros(sig.output.shape, np.uint32)
        energies[self.start : self.end] = squares.sum(axis=1)[self.start : self.end]
        return (energies,)

    def unsupported(self, sig: Signature) -> str | None:
        return channels_of(sig, dtype=INT16)

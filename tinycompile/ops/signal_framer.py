"""Overlapping frames of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import wrong_types


@dataclass(frozen=True)
class SignalFramer(Op):
    """int16: frames (..., frames, size) of signals (..., frames * step), each `step` samples after the one before.

    Operands: the signals, the samples (..., held) that were there before, a state. Results: the frames, the samples
    that are there for the next ones. Frames begin with zeros until so many samples have come.

    Attributes:
        size, step: of frames, in samples.
    """

    kind: ClassVar[str] = "signal_framer"

    size: int
    step: int

    @property
    def updates(self) -> Mapping[int, int]:
        """Samples move towards the older ones, after the frames are there."""
        return {1: 1}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, line = inputs[:2]
        if min(self.size, self.step) < 1 or not x.shape or x.shape[-1] < self.step or x.shape[-1] % self.step:
            raise ValueError(f"signals {x} in frames of {self.size} samples, {self.step} apart")
        if (
            not line.shape
            or line.shape[:-1] != x.shape[:-1]
            or not max(self.size - self.step, 0) <= line.shape[-1] < self.size
        ):
            raise ValueError(f"{line} in front of signals {x}, for frames of {self.size}, {self.step} apart")
        return ((*x.shape[:-1], x.shape[-1] // self.step, self.size), INT16), (line.shape, INT16)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, line = inputs[:2]
        both = np.concatenate([line, x], -1)
        firsts = range(0, x.shape[-1], self.step)
        frames = np.stack([both[..., first : first + self.size] for first in firsts], -2)
        return frames, np.ascontiguousarray(both[..., x.shape[-1] :])

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_types(sig.inputs, ("the input", "the samples before"), (INT16, INT16))

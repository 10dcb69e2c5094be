"""Overlapping frames added up to a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT16, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._signal import Unscaled, check_range
from tinycompile.ops._typed import Meaning, Meanings


@dataclass(frozen=True)
class SignalOverlapAdd(Unscaled):
    """int16, whose sums saturate one by one, and float32: frames (..., frames, size), `step` samples apart, to signals
    (..., frames * step).

    Operands: the frames, the sums (..., size - step) that later frames add to, a state. Results: the signals, the sums.

    Attributes:
        step: of frames, in samples.
    """

    kind: ClassVar[str] = "signal_overlap_add"

    step: int

    @property
    def updates(self) -> Mapping[int, int]:
        """Sums move towards the older ones, each after it is read."""
        return {1: 1}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, sums = inputs
        if len(x.shape) < 2:
            raise ValueError(f"frames {x}")
        check_range(self.step, "the step of frames", 1, x.shape[-1])
        if sums.shape != (*x.shape[:-2], x.shape[-1] - self.step) or sums.dtype != x.dtype:
            raise ValueError(f"sums {sums} of frames {x}, {self.step} apart")
        return ((*x.shape[:-2], x.shape[-2] * self.step), x.dtype), (sums.shape, sums.dtype)

    def meanings(self) -> Meanings:
        meaning = Meaning(self._sums, lambda _: None)
        return {INT16: meaning, FLOAT32: meaning}

    def _sums(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        frames, kept = inputs[:2]
        rest, made = [(0, 0)] * (kept.ndim - 1) + [(0, self.step)], list[Array]()
        for number in range(frames.shape[-2]):
            with np.errstate(all="ignore"):
                total = self._added(np.pad(kept, rest), frames[..., number, :])
            made.append(total[..., : self.step])
            kept = total[..., self.step :]
        return np.concatenate(made, -1), np.ascontiguousarray(kept)

    def _added(self, a: Array, b: Array) -> Array:
        if a.dtype == np.float32:
            return a + b
        return np.clip(a.astype(np.int32) + b, *INT16.range).astype(np.int16)

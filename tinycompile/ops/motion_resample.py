"""Samples at another rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype

MOST = 65535
"""Of `taken` and `made`: so sums have 32 bits."""


@dataclass(frozen=True)
class MotionResample(Op):
    """Made by the compiler for `--frontend`: int16 (1, n, channels) and the sample before them (1, 1, channels) to
    (1, n * made / taken, channels), on straight lines between samples.

    Result j lies at (j + 1) * taken / made samples behind the one before, between samples a and b there and f / made
    of the way: (a * (made - f) + b * f + made / 2) / made, rounded down, made / 2 as well.

    Attributes:
        taken, made: samples, in lowest terms.
    """

    kind: ClassVar[str] = "motion_resample"

    taken: int
    made: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, before = inputs
        if len(x.shape) != 3 or x.shape[0] != 1 or before.shape != (1, 1, x.shape[2]):
            raise ValueError(f"{before} is no sample in front of {x}")
        if not 0 < min(self.taken, self.made) <= max(self.taken, self.made) <= MOST or x.shape[1] % self.taken:
            raise ValueError(f"{x} at {self.made} / {self.taken} of its rate")
        return (((1, x.shape[1] // self.taken * self.made, x.shape[2]), INT16),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        line = np.concatenate([inputs[1], inputs[0]], 1).astype(np.int64)
        whole, part = np.divmod(np.arange(1, sig.output.shape[1] + 1) * self.taken, self.made)
        part = part[:, None]
        first, second = line[:, whole], line[:, np.minimum(whole + 1, line.shape[1] - 1)]
        return (((first * (self.made - part) + second * part + self.made // 2) // self.made).astype(np.int16),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(wrong_dtype(t, "a sample", INT16) for t in sig.inputs)

"""A window of motion as a model's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype

FRACTION = 256
"""Parts of a sample that a mean is counted in: so a distance to it has 25 bits, which float32 holds exactly."""

MOST_STEPS = 65535
"""Of a window: so n * n variances have 62 bits."""

SHIFT = 57
"""From here on, products are less than a half."""


@dataclass(frozen=True)
class MotionWindow(Op):
    """Made by the compiler for `--frontend`: int16 (1, steps, channels) to the same, or (1, channels, steps), of int8,
    int16 or float32: d = 256 * x - mean for each channel, times a factor m / 2^s.

    The factor's integers are given for each channel, or computed of the window: mean = (256 * sum + n / 2) / n, rounded
    down; v = n * sum of squares - sum * sum; root = isqrt(v * 4^k), with the largest k for which v * 4^k < 2^62; m =
    c * 2^30 / root, rounded down, and s = t + 30 - k, where c / 2^t is n / 256 over the output's scale. m is 0
    where v is.

    Integers are (d * m + 2^(s - 1)) / 2^s + zero point, rounded down, within the type; s is 57 at most. Floats are
    float32(d) * factor, which is rounded to a float32 before: of the given factor, or of m.

    Attributes:
        dtype: of the result.
        channels_first: whether the result has them so.
        zero_point: of integers.
        means: of each channel in 256ths of a sample; none where they are the window's.
        factors: (m, s) of each channel, or (c, t) alone; m and c have 31 bits.
    """

    kind: ClassVar[str] = "motion_window"

    dtype: DType
    channels_first: bool
    zero_point: int
    means: tuple[int, ...]
    factors: tuple[tuple[int, int], ...]

    @property
    def own(self) -> bool:
        """Whether mean and deviation are the window's."""
        return not self.means

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x = inputs[0]
        if len(x.shape) != 3 or x.shape[0] != 1 or not 0 < x.shape[1] <= MOST_STEPS:
            raise ValueError(f"{x} is no window of up to {MOST_STEPS} steps")
        _, steps, channels = x.shape
        if (len(self.means), len(self.factors)) not in ((0, 1), (channels, channels)):
            raise ValueError(f"{len(self.means)} means and {len(self.factors)} factors of {channels} channels")
        if any(not (2**30 <= m < 2**31 and 1 <= s < 96) for m, s in self.factors):
            raise ValueError(f"factors {self.factors} of other sizes")
        return (((1, channels, steps) if self.channels_first else x.shape, self.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        channels = inputs[0][0].T.astype(np.int64)
        if self.own:
            results = [self._of(x, *self._statistics(x)) for x in channels]
        else:
            results = [self._of(x, mean, *f) for x, mean, f in zip(channels, self.means, self.factors, strict=True)]
        return (np.stack(results, 0 if self.channels_first else 1)[None],)

    def _statistics(self, x: Array) -> tuple[int, int, int]:
        """(mean, m, s) of a channel's window."""
        ((c, t),) = self.factors
        n, total = len(x), int(x.sum())
        v = n * int((x * x).sum()) - total * total
        mean = (FRACTION * total + n // 2) // n
        if v == 0:
            return mean, 0, 1
        k = (62 - v.bit_length()) // 2
        return mean, (c << 30) // isqrt(v << 2 * k), t + 30 - k

    def _of(self, x: Array, mean: int, m: int, s: int) -> Array:
        d = FRACTION * x - mean
        if self.dtype == FLOAT32:
            factor = np.ldexp(np.float32(m), -s) if self.own else np.float32(np.ldexp(float(m), -s))
            return d.astype(np.float32) * factor
        s = min(s, SHIFT)
        low, high = self.dtype.range
        return np.clip((d * m + (1 << s - 1) >> s) + self.zero_point, low, high).astype(self.dtype.carrier)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                wrong_dtype(sig.input, "the window", INT16),
                wrong_dtype(sig.output, "the result", INT8, INT16, FLOAT32),
            )
        )

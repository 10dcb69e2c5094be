"""Elements divided by a power of what lies around them among the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array
from tinycompile.ops._arithmetic import real
from tinycompile.ops._elementwise import AlongChannels
from tinycompile.ops._typed import Meanings, Typed


@dataclass(frozen=True)
class LocalResponseNormalization(AlongChannels, Typed):
    """float32: x * (bias + alpha * (sum of squares of the channels at most `radius` away)) ** -beta.

    Attributes:
        radius: channels on either side; not negative.
        bias, alpha, beta: float32.
    """

    kind: ClassVar[str] = "local_response_normalization"

    radius: int
    bias: float
    alpha: float
    beta: float

    def meanings(self) -> Meanings:
        return {FLOAT32: real.meaning(self._real)}

    def _real(self, x: Array) -> Array:
        wide = x.astype(np.float64)
        depth = x.shape[-1]
        sums = np.stack([self._around(wide**2, channel, depth) for channel in range(depth)], axis=-1)
        return wide * (self.bias + self.alpha * sums) ** -self.beta

    def _around(self, squares: Array, channel: int, depth: int) -> Array:
        first, last = max(0, channel - self.radius), min(depth, channel + self.radius + 1)
        return squares[..., first:last].sum(axis=-1)

"""Repetition of the whole tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, bounded
from tinycompile.ops._movement import Movement, checked_axes


@dataclass(frozen=True)
class Repeat(Movement):
    """Any type, any axes, multiples that are known when the model is compiled. TILE.

    Attributes:
        multiples: how often the tensor stands along each axis, at least once.
    """

    kind: ClassVar[str] = "repeat"

    multiples: tuple[int, ...]

    def move(self, x: Array) -> Array:
        checked_axes(x.shape, self.multiples, "multiples")
        if min(self.multiples, default=1) < 1:
            raise ValueError(f"the multiples {list(self.multiples)}")
        bounded([n * times for n, times in zip(x.shape, self.multiples, strict=True)])
        return np.tile(x, self.multiples)

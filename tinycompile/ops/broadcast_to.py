"""Repetition along axes of length 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, bounded
from tinycompile.ops._movement import Movement


@dataclass(frozen=True)
class BroadcastTo(Movement):
    """Any type, as NumPy broadcasts, to a shape that is known when the model is compiled. BROADCAST_TO, and FILL and
    ZEROS_LIKE, which repeat one value.

    Attributes:
        shape: of the result.
    """

    kind: ClassVar[str] = "broadcast_to"

    shape: tuple[int, ...]

    def move(self, x: Array) -> Array:
        return np.broadcast_to(x, bounded(self.shape))

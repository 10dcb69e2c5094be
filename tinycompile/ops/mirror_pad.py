"""Padding with the tensor's own elements, mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tinycompile.ir import Array, bounded
from tinycompile.ops._movement import Movement, checked_axes


@dataclass(frozen=True)
class MirrorPad(Movement):
    """Any type, any axes, amounts that are known when the model is compiled; a border is at most the tensor itself.

    Attributes:
        amounts: (before, after) per axis.
        mode: "reflect" mirrors at the centre of the outermost element, "symmetric" at its edge.
    """

    kind: ClassVar[str] = "mirror_pad"

    amounts: tuple[tuple[int, int], ...]
    mode: Literal["reflect", "symmetric"]

    def move(self, x: Array) -> Array:
        checked_axes(x.shape, self.amounts, "pairs of amounts")
        own = 1 if self.mode == "reflect" else 0
        for size, (before, after) in zip(x.shape, self.amounts, strict=True):
            if min(before, after) < 0 or max(before, after) > max(size - own, 0):
                raise ValueError(f"a mirrored border of {before} and {after} around {size} elements")
        bounded([n + sum(pair) for n, pair in zip(x.shape, self.amounts, strict=True)])
        return np.pad(x, self.amounts, mode=self.mode) if self.amounts else x

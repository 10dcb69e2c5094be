"""Blocks of pixels become pixels with more channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._movement import Movement


@dataclass(frozen=True)
class SpaceToDepth(Movement):
    """Any type, (N, H, W, C) to (N, H/b, W/b, b*b*C); the pixels of a block row by row.

    Attributes:
        block: rows and columns of a block, b.
    """

    kind: ClassVar[str] = "space_to_depth"

    block: int

    def move(self, x: Array) -> Array:
        b = self.block
        if x.ndim != 4 or b < 1 or x.shape[1] % b or x.shape[2] % b:
            raise ValueError(f"a block_size of {b} for the shape {list(x.shape)}")
        n, h, w, c = x.shape
        return x.reshape(n, h // b, b, w // b, b, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // b, w // b, b * b * c)

"""Pixels with many channels become blocks of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._movement import Movement


@dataclass(frozen=True)
class DepthToSpace(Movement):
    """Any type, (N, H, W, b*b*C) to (N, b*H, b*W, C); the pixels of a block row by row.

    Attributes:
        block: rows and columns of a block, b.
    """

    kind: ClassVar[str] = "depth_to_space"

    block: int

    def move(self, x: Array) -> Array:
        b = self.block
        if x.ndim != 4 or b < 1 or x.shape[3] % (b * b):
            raise ValueError(f"a block_size of {b} for the shape {list(x.shape)}")
        n, h, w, c = x.shape
        blocks = x.reshape(n, h, w, b, b, c // (b * b))
        return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * b, w * b, c // (b * b))

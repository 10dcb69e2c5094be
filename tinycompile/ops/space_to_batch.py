"""Every b-th element of the spatial axes becomes a batch of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._movement import Movement


@dataclass(frozen=True)
class SpaceToBatch(Movement):
    """Any type; blocks that are known when the model is compiled. SPACE_TO_BATCH_ND becomes a PAD, if it has any
    padding, and this.

    Attributes:
        block: per spatial axis, which are the first ones behind the batch.
    """

    kind: ClassVar[str] = "space_to_batch"

    block: tuple[int, ...]

    def move(self, x: Array) -> Array:
        axes = len(self.block)
        sizes, rest = x.shape[1 : axes + 1], x.shape[axes + 1 :]
        if not 1 <= axes < x.ndim or min(self.block) < 1 or any(n % b for n, b in zip(sizes, self.block, strict=True)):
            raise ValueError(f"the shape {list(x.shape)} in blocks of {list(self.block)}")
        split = [part for n, b in zip(sizes, self.block, strict=True) for part in (n // b, b)]
        inner, outer = range(2, 2 * axes + 2, 2), range(1, 2 * axes + 1, 2)
        order = (*inner, 0, *outer, *range(2 * axes + 1, 2 * axes + 1 + len(rest)))
        moved = x.reshape(x.shape[0], *split, *rest).transpose(order)
        return moved.reshape(-1, *split[::2], *rest)

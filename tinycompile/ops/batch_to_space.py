"""Batches become every b-th element of the spatial axes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._movement import Movement, checked_axes


@dataclass(frozen=True)
class BatchToSpace(Movement):
    """Any type; blocks and crops that are known when the model is compiled. BATCH_TO_SPACE_ND.

    Attributes:
        block: per spatial axis, which are the first ones behind the batch.
        crops: (before, after), what is cut off each spatial axis of the result.
    """

    kind: ClassVar[str] = "batch_to_space"

    block: tuple[int, ...]
    crops: tuple[tuple[int, int], ...]

    def move(self, x: Array) -> Array:
        axes = len(self.block)
        checked_axes(self.block, self.crops, "pairs of crops")
        if not 1 <= axes < x.ndim or min(self.block) < 1 or x.shape[0] % prod(self.block):
            raise ValueError(f"the shape {list(x.shape)} as blocks of {list(self.block)}")
        sizes, rest = x.shape[1 : axes + 1], x.shape[axes + 1 :]
        order = [axes, *(part for k in range(axes) for part in (axes + 1 + k, k))]
        order += range(2 * axes + 1, 2 * axes + 1 + len(rest))
        batch = x.shape[0] // prod(self.block)
        moved = x.reshape(*self.block, batch, *sizes, *rest).transpose(order)
        whole = [n * b for n, b in zip(sizes, self.block, strict=True)]
        kept = [slice(None)]
        for n, (before, after) in zip(whole, self.crops, strict=True):
            if min(before, after) < 0 or before + after >= n:
                raise ValueError(f"crops of {before} and {after} out of {n} elements")
            kept.append(slice(before, n - after))
        return moved.reshape(batch, *whole, *rest)[tuple(kept)]

"""Nearest-neighbour resizing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Enlarged, Whole
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import wrong_dtype


@dataclass(frozen=True)
class ResizeNearestNeighbor(Op):
    """Any type and batch, any size, constant; align_corners or half_pixel_centers; copies the values as they are,
    whatever scales input and output have.

    Attributes:
        size: (rows, columns) of the output.
    """

    kind: ClassVar[str] = "resize_nearest_neighbor"

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x = inputs[0]
        if len(x.shape) != 4 or min(self.size) < 1:
            raise ValueError(f"{x} can't be resized to {self.size}")
        return (((x.shape[0], *self.size, x.shape[3]), x.dtype),)

    def source_rows(self, sig: Signature) -> Array:
        """int64, shape (rows,): the input row that each output row copies; never decreases."""
        return self._sources(sig.input.shape[1], self.size[0])

    def source_columns(self, sig: Signature) -> Array:
        """int64, shape (columns,): the input column that each output column copies; never decreases."""
        return self._sources(sig.input.shape[2], self.size[1])

    def _sources(self, size: int, resized: int) -> Array:
        """`GetNearestNeighbor` (resize_nearest_neighbor.h), in float32."""
        aligned = self.align_corners and resized > 1
        scale = np.float32(size - 1) / np.float32(resized - 1) if aligned else np.float32(size) / np.float32(resized)
        offset = np.float32(0.5 if self.half_pixel_centers else 0)
        position = (np.arange(resized, dtype=np.float32) + offset) * scale
        # std::round: halves away from zero, and no position is negative.
        nearest = np.floor(position.astype(np.float64) + 0.5) if self.align_corners else np.floor(position)
        return np.minimum(nearest.astype(np.int64), size - 1)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (inputs[0][:, self.source_rows(sig)][:, :, self.source_columns(sig)],)

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_dtype(sig.output, "the output", sig.input.dtype)

    def access(self, sig: Signature, operand: int) -> Access:
        """By positions where every input pixel becomes a block of the same size."""
        if sig.input.shape[0] != 1:
            return Whole()
        rows = _block(self.source_rows(sig), sig.input.shape[1])
        columns = _block(self.source_columns(sig), sig.input.shape[2])
        return Whole() if rows is None or columns is None else Enlarged((rows, columns))

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        """None where the part's own quotient of sizes, a float32, would be rounded to other blocks."""
        access = self.access(sig, 0)
        if not isinstance(access, Enlarged):
            return None
        rows, columns = (n if size is None else size for size, n in zip(sizes, self.size, strict=True))
        part, (down, across) = ResizeNearestNeighbor((rows, columns)), access.factors
        x = replace(sig.input, shape=(1, rows // down, columns // across, sig.input.shape[3]))
        y = replace(sig.output, shape=(1, rows, columns, sig.output.shape[3]))
        return part if part.access(Signature((x,), (y,)), 0) == access else None


def _block(sources: Array, size: int) -> int | None:
    """How often each of `size` positions is copied, if that is equally often."""
    times = sources.size // size
    return times if times and np.array_equal(sources, np.arange(times * size) // times) else None

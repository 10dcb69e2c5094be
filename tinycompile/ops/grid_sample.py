"""Elements of an image, or volume, at computed places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype

Taps = Literal[1, 2, 4]
MAX_AXES = 3
FAR = np.float32(1e6)
"""Places beyond are as far outside as this; NaN is on the lower side."""


@dataclass(frozen=True)
class GridSample(Op):
    """float32 (N, C, 1 to 3 axes) at the places that a float32 grid (N, other axes, number of axes) has, the last
    axis first, from -1 to 1. A constant grid or a computed one.

    Attributes:
        taps: neighbours along each axis: 1, the nearest one; 2, linear; 4, cubic interpolation with -0.75.
        padding: what is outside: zeros, the nearest element inside, or the image reflected.
        corners: -1 and 1 are the centres of the elements at the ends, else their outer edges.
    """

    kind: ClassVar[str] = "grid_sample"

    taps: Taps = 2
    padding: Literal["zeros", "border", "reflection"] = "zeros"
    corners: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, grid = (t.shape for t in inputs)
        axes = len(x) - 2
        if not 1 <= axes <= MAX_AXES or len(grid) != len(x) or grid[-1] != axes or grid[0] != x[0]:
            raise ValueError(f"{inputs[0]} at the places {inputs[1]}")
        return (((*x[:2], *grid[1:-1]), inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, grid = inputs
        batch, channels, *sizes = x.shape
        found = np.empty((batch, channels, prod(grid.shape[1:-1])), np.float32)
        for n in range(batch):
            taps = [self._taps(grid[n, ..., axis].ravel(), size) for axis, size in enumerate(sizes[::-1])][::-1]
            places, weights = taps[0]
            for axis in range(1, len(sizes)):
                more, factors = taps[axis]
                places = (places[:, :, None] * sizes[axis] + more[:, None, :]).reshape(len(more), -1)
                weights = (weights[:, :, None] * factors[:, None, :]).reshape(len(more), -1)
            found[n] = np.sum(x[n].reshape(channels, -1)[:, places] * weights, -1)
        return (found.reshape(sig.output.shape),)

    def _taps(self, numbers: Array, size: int) -> tuple[Array, Array]:
        """Positions along an axis and their weights, of each place: (places, taps)."""
        low, high = np.float32(0 if self.corners else -0.5), np.float32(size - (1 if self.corners else 0.5))
        one = numbers + np.float32(1)
        x = one / np.float32(2) * np.float32(size - 1) if self.corners else (one * np.float32(size) - 1) / np.float32(2)
        x = np.fmin(np.fmax(x, -FAR), FAR)
        x = np.rint(x) if self.taps == 1 else x
        outside = (x < low) | (x > high)
        if self.padding == "border" and self.taps < 4:  # cubic: the neighbours alone, as PyTorch and onnxruntime do
            x = np.where(outside, np.clip(x, 0, size - 1), x)
        elif self.padding == "reflection":
            x = np.where(outside, reflected(x, low, high), x)
        first = np.floor(x)
        weights = _weights((x - first).astype(np.float32), self.taps)
        at = first.astype(np.int64)[:, None] + np.arange(self.taps) - (self.taps == 4)
        if self.padding == "zeros":
            weights = np.where((at >= 0) & (at < size), weights, np.float32(0))
        elif self.padding == "reflection":
            at = reflected(at.astype(np.float32), low, high).astype(np.int64)
        return np.clip(at, 0, size - 1), weights

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (wrong_dtype(sig.input, "the input", FLOAT32), wrong_dtype(sig.inputs[1], "the grid", FLOAT32))
        )


def reflected(x: Array, low: np.float32, high: np.float32) -> Array:
    """Back and forth between the bounds."""
    extent = high - low
    if extent <= 0:
        return np.full(x.shape, low)
    below = x < low
    distance = np.where(below, low - x, x - high)
    times = np.floor(distance / extent)
    rest = distance - times * extent
    inside = (x >= low) & (x <= high)
    return np.where(inside, x, np.where(below != (times % 2 == 1), low + rest, high - rest)).astype(np.float32)


def _weights(f: Array, taps: int) -> Array:
    """Of the neighbours, at a distance of `f` behind the first one, or behind the second of four."""
    if taps == 1:
        return np.ones((f.size, 1), np.float32)
    if taps == 2:
        return np.stack([1 - f, f], -1)
    a, near, far = np.float32(-0.75), (f, 1 - f), (f + 1, 2 - f)
    inner = [((a + 2) * d - (a + 3)) * d * d + 1 for d in near]
    outer = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in far]
    return np.stack([outer[0], inner[0], inner[1], outer[1]], -1).astype(np.float32)

"""Which rows and pixels of a layer's windows lie inside the image: what reading them costs depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._spatial import Window


def taps_held(outputs: int, window: Window, axis: int, size: int) -> Array:
    """Which taps of each window lie inside the image along an axis: bool (outputs, taps)."""
    origins = np.arange(outputs) * window.stride[axis] - window.padding[2 * axis]
    positions = origins[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
    return (positions >= 0) & (positions < size)


def taps_inside(outputs: int, window: Window, axis: int, size: int) -> Array:
    """How many taps of each window lie inside the image along an axis."""
    return taps_held(outputs, window, axis, size).sum(axis=1)


@dataclass(frozen=True)
class WindowRows:
    """Rows of all windows.

    Attributes:
        rows: that are inside the image, at least in part. inside: pixels of these that are.
        gaps: runs of pixels outside of it, whole rows included. outside: pixels of these.
    """

    rows: int
    inside: int
    gaps: int = 0
    outside: int = 0


@lru_cache
def window_rows(window: Window, image: tuple[int, ...], outputs: tuple[int, ...]) -> WindowRows:
    """Of an image (1, height, width, depth) and results (1, height, width, channels)."""
    pixels, (height, width) = outputs[1] * outputs[2], window.kernel
    if not any(window.padding):
        return WindowRows(pixels * height, pixels * height * width)
    y, x = (taps_held(outputs[1 + axis], window, axis, image[1 + axis]) for axis in (0, 1))
    rows = int(y.sum()) * outputs[2]
    inside = int(y.sum()) * int(x.sum())
    cut = int(np.count_nonzero(~x[:, 0]) + np.count_nonzero(~x[:, -1]))
    gaps = pixels * height - rows + int(y.sum()) * cut
    return WindowRows(rows, inside, gaps, pixels * height * width - inside)


@dataclass(frozen=True)
class PairRows:
    """Rows of pairs of windows, each pair two pixels of one word.

    Attributes:
        pixels, depth: of a row of one window, and of a pixel.
        direct: rows that are read from the image. many: whether a window has several.
        copied: rows that are copied before, with their padding.
        inside, outside: pixels of these, of all their windows, that are in the image, and that aren't.
    """

    pixels: int
    depth: int
    direct: int
    many: bool = False
    copied: int = 0
    inside: int = 0
    outside: int = 0

    @property
    def bytes(self) -> int:
        """Of a row of one window."""
        return self.pixels * self.depth

    @property
    def checked(self) -> int:
        """Direct rows where a window has several, or some are copied: GCC's loop for these takes longer."""
        return self.direct if self.copied or self.many else 0


@lru_cache
def pair_rows(window: Window, image: tuple[int, ...], outputs: tuple[int, ...], together: int = 2) -> PairRows:
    """As `tc_packed_windows` goes through them, or so many `together` as pairs; other arguments as of `window_rows`."""
    (height, width), pairs = window.kernel, -(-outputs[1] * outputs[2] // together)
    if not any(window.padding) and window.dilation[1] == 1:
        return PairRows(width, image[3], pairs * height, height > 1)
    y, x = (taps_held(outputs[1 + axis], window, axis, image[1 + axis]) for axis in (0, 1))
    inside = np.outer(y.sum(axis=1), x.sum(axis=1)).ravel()
    whole = np.outer(y.all(axis=1), x.all(axis=1)).ravel() & (window.dilation[1] == 1)
    again = -inside.size % together  # the last pixel, which stands for those that there aren't
    inside, whole = (np.pad(each, (0, again), "edge").reshape(-1, together) for each in (inside, whole))
    direct = whole.all(axis=1)
    copied, held = int(np.count_nonzero(~direct)), int(inside[~direct].sum())
    outside = together * copied * height * width - held
    direct_rows = (pairs - copied) * height
    return PairRows(width, image[3], direct_rows, height > 1, copied * height, held, outside)

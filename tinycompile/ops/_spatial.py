"""What convolutions and pooling share: a window that slides over the rows and columns of an NHWC tensor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.access import Access, Whole, Windowed
from tinycompile.ir import Array, Op, Signature, TensorType

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
"""Rows above, rows below, columns left, columns right."""


@dataclass(frozen=True)
class Window:
    """The geometry of a sliding window; all pairs are (rows, columns)."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Padding

    @property
    def extent(self) -> Pair:
        """Rows and columns between the first and the last tap, both included."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return (kh - 1) * dh + 1, (kw - 1) * dw + 1

    def output_size(self, height: int, width: int) -> Pair:
        """Rows and columns of the output. Raises ValueError where the window doesn't fit once."""
        top, bottom, left, right = self.padding
        rows, columns = height + top + bottom - self.extent[0], width + left + right - self.extent[1]
        if rows < 0 or columns < 0:
            raise ValueError(f"a window of {self.extent} does not fit into {height}x{width} with its padding")
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1

    def access(self, fill: float | None) -> Windowed:
        """What it reads.

        Args:
            fill: what positions in the padding are read as; None where they take no part.
        """
        top, bottom, left, right = self.padding
        return Windowed(self.kernel, self.stride, self.dilation, ((top, bottom), (left, right)), fill)

    def pad(self, x: Array, value: float) -> Array:
        """`x` (N, H, W, C) with its padding around it."""
        top, bottom, left, right = self.padding
        if not any(self.padding):
            return x
        return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)

    def taps(self, padded: Array) -> Iterator[tuple[int, int, Array]]:
        """(row, column, view (N, oh, ow, C) of what this tap reads) over the padded input."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        rows = (padded.shape[1] - self.extent[0]) // sh * sh + 1
        columns = (padded.shape[2] - self.extent[1]) // sw * sw + 1
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                y, x = i * dh, j * dw
                yield i, j, padded[:, y : y + rows : sh, x : x + columns : sw]

    def patches(self, padded: Array) -> Array:
        """View (oh, ow, kh, kw, C) of all windows over the padded input (1, H, W, C)."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        windows = np.lib.stride_tricks.sliding_window_view(padded[0], self.extent, axis=(0, 1))
        return windows[::sh, ::sw, :, ::dh, ::dw].transpose(0, 1, 3, 4, 2)


class SpatialOp(Op):
    """An operator whose operand 0 is read through a `Window`."""

    @abstractmethod
    def window(self, x: TensorType, weights: TensorType | None) -> Window:
        """The window, given the operand types."""

    def window_of(self, sig: Signature) -> Window:
        return self.window(sig.input, sig.inputs[1] if len(sig.inputs) > 1 else None)

    def fill(self, sig: Signature) -> float | None:
        """What positions in the padding are read as; None where they take no part."""
        return None

    def access(self, sig: Signature, operand: int) -> Access:
        return self.window_of(sig).access(self.fill(sig)) if operand == 0 else Whole()

    @abstractmethod
    def padded_along(self, axis: int, padding: Pair) -> SpatialOp:
        """The same with other padding along an axis of positions: (before, after)."""


def undivided(padding: Padding, sizes: Sequence[int | None]) -> Padding:
    """What of a padding is left where a part of the output is computed, as in `Op.part`."""
    (rows, columns), (top, bottom, left, right) = sizes, padding
    above, below = (top, bottom) if rows is None else (0, 0)
    before, after = (left, right) if columns is None else (0, 0)
    return above, below, before, after


def repadded(padding: Padding, axis: int, along: Pair) -> Padding:
    """With other padding along an axis: 0 for rows, 1 for columns."""
    top, bottom, left, right = padding
    return (*along, left, right) if axis == 0 else (top, bottom, *along)


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """TFLite's SAME padding along one axis: (before, after), the odd element after (`ComputePaddingWithOffset`)."""
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2

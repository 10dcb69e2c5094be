"""How far the output of a loop must stay below its input: simulations of the access patterns in `runtime/kernels/`.

Each function replays the order in which the C reads and writes and returns the distance of `Kernel.overlap`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from tinycompile.access import Access, Reach
from tinycompile.ir import Array, TensorType

RECENT_SHAPES = 64
"""Rows and columns of images and results whose order of reading is kept: widths of layers don't change it."""


def window_distance(access: Access, x: TensorType, y: TensorType) -> int:
    """A kernel that computes NHWC pixels in row order, and writes a pixel while it still reads what that one needs."""
    pending, done = _pending(access, x.shape[1:3], y.shape[1:3])
    return int((done * y.shape[3] - pending * x.shape[3]).max(initial=0))


@lru_cache(RECENT_SHAPES)
def _pending(access: Access, image: tuple[int, ...], made: tuple[int, ...]) -> tuple[Array, Array]:
    """The lowest pixel that each output pixel or a later one reads, and the output pixels written by then."""
    first = _starts(access, image, made)
    return np.minimum.accumulate(first[::-1])[::-1], np.arange(1, first.size + 1)


def channelwise_distance(access: Access, x: TensorType, y: TensorType) -> int:
    """The same if a channel of a pixel is written when its window has been read, and reads no other channel.

    Output channel c reads input channel c // (output channels / input channels).
    """
    inputs, outputs = x.shape[3], y.shape[3]
    first = _starts(access, x.shape[1:3], y.shape[1:3]) * inputs
    later = np.append(np.minimum.accumulate(first[::-1])[::-1][1:], x.bytes)
    begun = np.arange(first.size) * outputs
    # Within a pixel output and input advance together, the output by up to a channel's multiplier ahead.
    ahead = outputs - inputs
    return int(max((begun - (first - ahead)).max(initial=0), (begun + outputs - later).max(initial=0)))


def rowwise_distance(rows: int, inputs: int, outputs: int) -> int:
    """Output values are written one by one; a row of inputs is read for each of its outputs."""
    before_last = np.arange(rows) * inputs
    return ordered_distance(before_last, before_last // inputs * outputs + outputs - 1)


def ordered_distance(reads: Array, written: Array) -> int:
    """Steps in order: step i reads from byte `reads[i]` upwards until it has written up to byte `written[i]`."""
    pending = np.minimum.accumulate(reads[::-1])[::-1]
    return int((written - pending).max(initial=0))


def window_origins(window: Mapping[str, int]) -> tuple[Array, Array]:
    """Rows and columns at which the windows of a `tc_window` begin, also outside of the image."""
    y, x = (np.arange(window[size]) for size in ("output_height", "output_width"))
    top = y * window["stride_y"] - window["padding_top"]
    return top, x * window["stride_x"] - window["padding_left"]


def blocks_distance(window: Mapping[str, int], depth: int, channels: int, together: int) -> int:
    """The windows of so many pixels are read until their last outputs are written."""
    top, left = (np.maximum(each, 0) for each in window_origins(window))
    end = window["input_height"] * window["input_width"]
    lowest = np.minimum(top[:, None] * window["input_width"] + left, end).ravel() * depth
    first = np.minimum.reduceat(lowest, np.arange(0, lowest.size, together))
    written = (together * (np.arange(first.size) + 1)).clip(max=lowest.size) * channels
    return ordered_distance(first, written)


def gathered_distance(reads: Array, item: int = 1) -> int:
    """A loop that copies runs of `item` bytes, upwards in memory, run i from input run `reads[i]`."""
    pending = np.minimum.accumulate(reads[::-1])[::-1] * item
    return int((np.arange(reads.size) * item - pending).max(initial=0))


def _first_inside(reach: Reach, outputs: int) -> Array:
    """`Reach.first_inside` of each."""
    first = np.arange(outputs) // reach.up * reach.stride - reach.before
    return np.where(first < 0, first % reach.apart, first)


@lru_cache(RECENT_SHAPES)
def _starts(access: Access, image: tuple[int, ...], made: tuple[int, ...]) -> Array:
    """The lowest pixel that each output pixel reads, in row order. The access tells pixels apart.

    Args:
        image, made: rows and columns of the input and the output.
    """
    reaches = [access.along(axis) for axis in range(2)]
    rows, columns = (_first_inside(reach, n) for reach, n in zip(reaches, made, strict=True) if reach is not None)
    return np.minimum(rows[:, None] * image[1] + columns, image[0] * image[1]).ravel()

"""How far the output of a loop must stay below its input: simulations of the access patterns in `runtime/kernels/`.

Each function replays the order in which the C reads and writes and returns the distance of `Kernel.overlap`.
"""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, TensorType
from tinycompile.ops._spatial import Window


def window_distance(window: Window, x: TensorType, y: TensorType) -> int:
    """A kernel that computes NHWC pixels in row order, and writes a pixel while it still reads its window."""
    first = _window_starts(window, x, y)
    return ordered_distance(first, np.arange(1, first.size + 1) * y.shape[3])


def channelwise_distance(window: Window, x: TensorType, y: TensorType) -> int:
    """The same if a channel of a pixel is written when its window has been read, and reads no other channel.

    Output channel c reads input channel c // (output channels / input channels).
    """
    inputs, outputs = x.shape[3], y.shape[3]
    first = _window_starts(window, x, y)
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


def gathered_distance(reads: Array, item: int = 1) -> int:
    """A loop that copies runs of `item` bytes, upwards in memory, run i from input run `reads[i]`."""
    pending = np.minimum.accumulate(reads[::-1])[::-1] * item
    return int((np.arange(reads.size) * item - pending).max(initial=0))


def _window_starts(window: Window, x: TensorType, y: TensorType) -> Array:
    """The lowest byte that each output pixel reads, in row order."""
    rows = _first_inside(np.arange(y.shape[1]), window, 0)
    columns = _first_inside(np.arange(y.shape[2]), window, 1)
    return np.minimum(rows[:, None] * x.shape[2] + columns, x.shape[1] * x.shape[2]).ravel() * x.shape[3]


def _first_inside(output: Array, window: Window, axis: int) -> Array:
    """The first row (axis 0) or column (axis 1) inside the image that each output position reads."""
    dilation = window.dilation[axis]
    origin = output * window.stride[axis] - window.padding[2 * axis]
    return np.where(origin >= 0, origin, origin % dilation)

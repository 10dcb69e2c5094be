"""Networks for smaller images than the samples are: each of their pixels is the mean of what it covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array


def smaller(shape: Sequence[int], part: float) -> tuple[int, ...]:
    """A sample's shape (channels, rows, columns) at a part of the rows and columns; one row stays one."""
    channels, *sizes = shape
    return channels, *(max(1, round(size * part)) for size in sizes)


def averaging(size: int, fewer: int) -> Array:
    """(fewer, size): what each of fewer pixels in a line has of each pixel; they divide the line evenly."""
    ends = np.arange(fewer + 1) * size / fewer
    first, last = np.maximum(ends[:-1, None], np.arange(size)), np.minimum(ends[1:, None], np.arange(1, size + 1))
    return (np.maximum(0, last - first) * fewer / size).astype(np.float32)


def matrices(shape: Sequence[int], wanted: Sequence[int]) -> tuple[Array, Array] | None:
    """What images (..., rows, columns) are multiplied with, from the left and from the right; None if they stay."""
    if len(shape) < 3 or len(shape) != len(wanted) or tuple(shape[-2:]) == tuple(wanted[-2:]):
        return None
    rows, columns = (averaging(size, fewer) for size, fewer in zip(shape[-2:], wanted[-2:], strict=True))
    return rows, columns.T


def averaged(x: Array, shape: Sequence[int]) -> Array:
    """Samples (count, channels, rows, columns) for networks that take samples of another shape."""
    found = matrices(x.shape[1:], shape)
    return x if found is None else np.ascontiguousarray(found[0] @ x @ found[1], np.float32)


def sample_shape(proto: Any) -> tuple[int, ...]:
    """Of what a ModelProto takes, without the batch."""
    return tuple(each.dim_value for each in proto.graph.input[0].type.tensor_type.shape.dim)[1:]

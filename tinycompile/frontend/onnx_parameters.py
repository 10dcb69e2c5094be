"""Scales and zero points that a file may get wrong: how many there are, along which axis, in what blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array


def check_sizes(scale: Array, zero_point: Array) -> None:
    """There is a scale, and a zero point for all of them or for each. Raises Rejected."""
    if scale.size == 0:
        raise Rejected(f"its scale has the shape {list(scale.shape)}: there is none")
    if zero_point.size not in (1, scale.size):
        raise Rejected(f"zero points of the shape {list(zero_point.shape)} for scales of the shape {list(scale.shape)}")


def positive_axis(axis: int, shape: Sequence[int]) -> int:
    """An axis of a tensor, counted from the front. Raises Rejected where it has no such axis."""
    if not -len(shape) <= axis < len(shape):
        raise Rejected(f"the axis {axis} of a tensor of the shape {list(shape)}")
    return axis % len(shape)


def of_elements(parameter: Array, axis: int, block: int, shape: Sequence[int]) -> Array:
    """A scale or zero point of blocks along an axis as one for each element.

    Args:
        axis: not negative.

    Raises:
        Rejected: it isn't one for each block.
    """
    wanted = [-(-n // block) if i == axis and block > 0 else n for i, n in enumerate(shape)]
    if block < 1 or list(parameter.shape) != wanted:
        what = f"a parameter of the shape {list(parameter.shape)}"
        raise Rejected(f"{what} for blocks of {block} in axis {axis} of {list(shape)}")
    return parameter.take(np.arange(shape[axis]) // block, axis)

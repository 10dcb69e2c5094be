"""What operators on gradients share: a gradient is two values of the graph, int16 numbers and their exponent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinycompile.dtypes import INT16, INT32, DType
from tinycompile.ir import Array, TensorType

EXPONENT = TensorType((1,), INT32)
"""Of a gradient: real = value * 2^exponent (`numerics.block_floating`)."""

LEARNING_RATE = TensorType((2,), INT32)
"""Mantissa in [2^14, 2^15), exponent."""

Shape = tuple[int, ...]
Inferred = tuple[tuple[Shape, DType], ...]


class Gradient(NamedTuple):
    """The names of a gradient's values, int16 or, of a parameter, int32 sums, and of its exponent."""

    values: str
    exponent: str


def gradient_of(shape: Shape) -> Inferred:
    """What an operator with a gradient as its result infers."""
    return (shape, INT16), (EXPONENT.shape, EXPONENT.dtype)


def sums_of(shape: Shape) -> Inferred:
    """Of one whose result is the gradient of a parameter."""
    return (shape, INT32), (EXPONENT.shape, EXPONENT.dtype)


def exponent_array(exponent: int) -> Array:
    """The value of an exponent."""
    return np.array([exponent], np.int32)

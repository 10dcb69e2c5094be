"""Quantisation of floats as a step function of their bits, for cores without an FPU.

A number's *order* is an int32 that is the larger, the larger the number is. Division by a scale and rounding keep the
order, so that an 8-bit result is the number of thresholds that the order reaches; they are found by bisection, with the
operator's own meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops.quantize import Quantize

_LOWEST, _HIGHEST = -(1 << 31), (1 << 31) - 1
_LARGE = 2.0**30
"""Of this many steps the result is known: the largest or the smallest; of far more it may be another one."""


@dataclass(frozen=True, eq=False)
class FloatThresholds:
    """Of an operator with a float input and an 8-bit output.

    Attributes:
        orders: int32, shape (255,), ascending: entry i is the least order of a number that gives low + i + 1.
        first, last: orders outside of these, NaNs among them, give `other`.
    """

    orders: Array
    first: int
    last: int
    other: int


def float_thresholds(op: Quantize, sig: Signature) -> FloatThresholds:
    """Of the operator's meaning for a float input."""
    (low, high), large = op.range, min(float(np.float32(sig.output.scale)) * _LARGE, float(np.finfo(np.float32).max))

    def results(orders: Array) -> Array:
        return op.evaluate(sig, [_numbers(orders)])[0].astype(np.int64)

    top, bottom = _orders(np.array([large, -large], np.float32))
    steps = np.arange(low + 1, high + 1)
    orders = _least(lambda at: results(at) >= steps, np.full(steps.size, bottom), np.full(steps.size, top))
    (other,) = results(np.array([_HIGHEST]))
    beyond = _least(lambda at: results(at) != high, np.array([top]), np.array([_HIGHEST]))
    inside = _least(lambda at: results(at) == low, np.array([_LOWEST]), np.array([bottom]))
    last = _HIGHEST if other == high else int(beyond[0]) - 1
    first = _LOWEST if other == low else int(inside[0])
    return FloatThresholds(orders.astype(np.int32), first, last, int(other))


def _least(holds: Callable[[Array], Array], below: Array, at_most: Array) -> Array:
    """The least order, above `below` and at most `at_most`, from which on a predicate holds."""
    below, at_most = below.astype(np.int64), at_most.astype(np.int64)
    while np.any(at_most - below > 1):
        middle = (below + at_most) >> 1
        true = holds(middle)
        below, at_most = np.where(true, below, middle), np.where(true, middle, at_most)
    return at_most


def _numbers(orders: Array) -> Array:
    """float32 of orders."""
    bits = orders.astype(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32)


def _orders(numbers: Array) -> Array:
    bits = numbers.view(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)

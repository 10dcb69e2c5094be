"""The loops of a reduction: as few as its axes take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tinycompile.kernels.generic_c import Fields
from tinycompile.kernels.generic_overlap import ordered_distance

LOOPS = 3
"""Over kept axes, and over reduced ones: what six axes take at most."""

Loops = list[tuple[int, int]]


@dataclass(frozen=True)
class ReduceLoops:
    """Loops over the kept and the reduced axes of a tensor in C's order.

    Attributes:
        kept, reduced: (size, stride in elements), outermost first.
        inner: adjacent kept elements; `kept` leaves them out.
    """

    kept: Loops
    inner: int
    reduced: Loops

    @staticmethod
    def of(shape: Sequence[int], axes: Collection[int]) -> ReduceLoops | None:
        """None for alternations of kept and reduced axes with more loops than the kernels have."""
        kept, reduced = reduce_loops(shape, axes)
        inner = kept.pop()[0] if kept and kept[-1][1] == 1 else 1
        return ReduceLoops(kept, inner, reduced) if max(len(kept), len(reduced)) <= LOOPS else None

    @property
    def fields(self) -> Fields:
        """Members of a `tc_reduce_loops`."""
        kept_size, kept_stride = padded(self.kept)
        reduced_size, reduced_stride = padded(self.reduced)
        return {
            "kept_size": kept_size,
            "kept_stride": kept_stride,
            "inner": self.inner,
            "reduced_size": reduced_size,
            "reduced_stride": reduced_stride,
        }

    @property
    def distance(self) -> int:
        """In elements: runs of `inner` results in memory order, each with its reads from its own place on, are written
        as they are read.
        """
        starts = np.zeros(1, np.int64)
        for size, stride in self.kept:
            starts = (starts[:, None] + np.arange(size) * stride).ravel()
        elements = (starts[:, None] + np.arange(self.inner)).ravel()
        return ordered_distance(elements[1:], np.arange(1, elements.size)) if elements.size > 1 else 0


def reduce_loops(shape: Sequence[int], axes: Collection[int]) -> tuple[Loops, Loops]:
    """(size, stride in elements) of as few loops as it takes over kept and over reduced axes, outermost first."""
    loops, stride = list[tuple[int, int, bool]](), prod(shape)
    for axis, size in enumerate(shape):
        stride //= size
        reduced = axis in axes
        if size == 1:
            continue
        if loops and loops[-1][2] == reduced:
            loops[-1] = (loops[-1][0] * size, stride, reduced)
        else:
            loops.append((size, stride, reduced))
    kept = [(size, step) for size, step, reduced in loops if not reduced]
    return kept, [(size, step) for size, step, reduced in loops if reduced]


def padded(loops: Loops) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(sizes, strides) of all the loops that the kernels have, those around the others of one turn."""
    sizes, strides = zip(*([(1, 0)] * (LOOPS - len(loops)) + loops), strict=True)
    return sizes, strides

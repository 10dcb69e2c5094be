"""A function of one 16-bit value as few parabolas, and the values for which these are off by one.

    o = u - last of its piece                                              u = value + 2^15; o isn't positive
    v = value + (slope + (curvature * o >> 17)) * o                        in units of 2^-fraction outputs
    result = v >> fraction, one more or less for the exceptions

A parabola through three points of a smooth function is off by some hundredths of an output over some hundred inputs, so
that few results are rounded otherwise than the function's; those are listed. They lie near a change of the result:
nobody looks elsewhere for them. All 65,536 results are compared when the pieces are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import Float64Array, Int32Array, Int64Array

INPUTS = 1 << 16
_CURVATURE_SHIFT = 17
_MOST_FRACTION = 22
"""Slopes of up to 256 outputs for an input then fit in 32 bits."""
_TOLERANCES = (0.1, 0.03, 0.01)
"""Of outputs, by which pieces may be off: the larger, the fewer pieces and the more exceptions."""
_MOST_PIECES = 1024
_PIECE_BYTES = 18
_EXCEPTION_BYTES = 2
_SMALLEST_FRACTION = 8
_BENDS = (2.0**-9, 2.0**-4)
"""The largest curvatures: of the first `_MOST_FRACTION` allows; the second is for functions with many turns."""
_LARGE = 8 << 10
"""Bytes from which on that is tried."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """The formula of the module.

    Attributes:
        last: uint16 (n,), ascending: the last u of each piece.
        value: int64 (n,), half an output more than at its last u, so that shifting rounds.
        slope, curvature: int32 (n,).
        near: exceptions have a v this near to where its result changes, in units of 2^-fraction.
        exceptions: uint16, ascending: each u whose result is the next one beyond the change that is near.
    """

    last: NDArray[np.uint16]
    value: Int64Array
    slope: Int32Array
    curvature: Int32Array
    fraction: int
    near: int
    exceptions: NDArray[np.uint16]

    @staticmethod
    def of(reals: Float64Array, results: Int64Array) -> Pieces:
        """The form that takes the least memory.

        Args:
            reals: float64 (65536,): the function of -32768, -32767 and so on, before it is rounded.
            results: integers (65536,) beside them.

        Raises:
            ValueError: there is none, for instance since the results aren't those numbers rounded.
        """
        best: Pieces | None = None
        for bend in _BENDS:
            if best is not None and best.bytes < _LARGE:
                break
            forms = [best, *(_fitted(reals, results, tolerance, bend) for tolerance in _TOLERANCES)]
            best = min((form for form in forms if form is not None), key=lambda form: form.bytes, default=None)
        if best is None:
            raise ValueError(f"its results change too often for {_MOST_PIECES:,} parabolas")
        return best

    @property
    def bytes(self) -> int:
        """Of constants."""
        return self.last.size * _PIECE_BYTES + self.exceptions.size * _EXCEPTION_BYTES

    def before_exceptions(self) -> tuple[Int64Array, Int64Array]:
        """int64 (65536,): the shifted v of each u, and how far v is above that, in units of 2^-fraction."""
        u = np.arange(INPUTS)
        piece = np.searchsorted(self.last, u)
        o = u - self.last[piece].astype(np.int64)
        slope = self.slope[piece] + (self.curvature[piece].astype(np.int64) * o >> _CURVATURE_SHIFT)
        v = self.value[piece] + slope * o
        return v >> self.fraction, v & ((1 << self.fraction) - 1)

    def results(self) -> Int64Array:
        """int64 (65536,): of each u, as the C computes them."""
        found, above = self.before_exceptions()
        at = self.exceptions
        found[at] += np.where(above[at] < self.near, -1, 1)
        return found


def _fitted(reals: Float64Array, results: Int64Array, tolerance: float, most_bend: float) -> Pieces | None:
    """None where the pieces don't give the results."""
    inside = np.clip(reals, float(results.min()), float(results.max()))
    fits = np.array(list(islice(_parabolas(inside, tolerance, most_bend), _MOST_PIECES + 1)))
    if len(fits) > _MOST_PIECES:
        return None
    lasts = fits[:, 0].astype(np.int64)
    steepest = max(float(np.abs(fits[:, 2]).max()), float(np.abs(_slopes_at_first(fits)).max()), 1e-9)
    bends = max(float(np.abs(fits[:, 3]).max()), 2.0**-_MOST_FRACTION)
    fraction = min(_MOST_FRACTION, 30 - ceil(log2(steepest)), 30 - _CURVATURE_SHIFT - ceil(log2(bends)))
    if fraction < _SMALLEST_FRACTION:
        return None
    one = 1 << fraction
    form = Pieces(
        lasts.astype(np.uint16),
        np.rint((fits[:, 1] + 0.5) * one).astype(np.int64),
        np.rint(fits[:, 2] * one).astype(np.int32),
        np.rint(fits[:, 3] * one * (1 << _CURVATURE_SHIFT)).astype(np.int32),
        fraction,
        0,
        np.zeros(0, np.uint16),
    )
    return _with_exceptions(form, results)


def _slopes_at_first(fits: Float64Array) -> Float64Array:
    """Of each piece, where its slope and curvature are multiplied with the farthest o."""
    lengths = np.diff(fits[:, 0], prepend=-1)
    return fits[:, 2] - fits[:, 3] * (lengths - 1)


def _with_exceptions(form: Pieces, results: Int64Array) -> Pieces | None:
    found, above = form.before_exceptions()
    missing = results - found
    (at,) = np.nonzero(missing)
    one = 1 << form.fraction
    distance = np.where(missing[at] > 0, one - above[at], above[at] + 1)
    near = int(distance.max(initial=0))
    if np.abs(missing).max() > 1 or near > one // 4:
        return None
    return Pieces(form.last, form.value, form.slope, form.curvature, form.fraction, near, at.astype(np.uint16))


def _parabolas(reals: Float64Array, tolerance: float, most_bend: float) -> Iterator[tuple[float, float, float, float]]:
    """(last u, value there, slope there, curvature) of the longest pieces within a tolerance, one after the other."""
    first = 0
    while first < INPUTS:
        size, longest = 1, INPUTS - first
        found = _parabola(reals[first : first + 1], most_bend)
        step, growing = 1, True
        # Doubling, then halving, the step.
        while step >= 1:
            wanted = min(size + step, longest)
            fit = None if wanted == size else _within(reals[first : first + wanted], tolerance, most_bend)
            if fit is not None:
                size, found = wanted, fit
            growing = growing and fit is not None
            step = step * 2 if growing else step // 2
        yield (first + size - 1, *found)
        first += size


def _within(reals: Float64Array, tolerance: float, most_bend: float) -> tuple[float, float, float] | None:
    fit = _parabola(reals, most_bend)
    o = np.arange(1 - reals.size, 1)
    off = np.abs(fit[0] + (fit[1] + fit[2] * o) * o - reals)
    return fit if off.max() <= tolerance else None


def _parabola(reals: Float64Array, most_bend: float) -> tuple[float, float, float]:
    """(value, slope, curvature) at the last of these, through three of them, where Chebyshev's polynomial is 0."""
    size = reals.size
    if size < 3:
        return float(reals[-1]), float(reals[-1] - reals[0]), 0.0
    middle = (size - 1) / 2
    reach = round(middle * np.sqrt(0.75)) if size > 3 else 1
    places = np.array([round(middle) - reach, round(middle), round(middle) + reach])
    places = np.clip(places, 0, size - 1)
    o = places - (size - 1.0)
    a, b, c = reals[places]
    bend = ((c - b) / (o[2] - o[1]) - (b - a) / (o[1] - o[0])) / (o[2] - o[0])
    if abs(bend) > most_bend:
        bend, b, o[1] = 0.0, a, o[0]
    slope = (c - b) / (o[2] - o[1]) - bend * (o[1] + o[2])
    return float(c - (slope + bend * o[2]) * o[2]), float(slope), float(bend)

"""The search for the constants of a machine sequence: integers on both sides of a line, per channel.

The sequence, its symbols and the inequality that is solved here are in `requant_solver`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Float64Array,
    Int64Array,
)
from tinycompile.numerics.latitude import Form
from tinycompile.numerics.requant import BoolArray, Requant

# How far the searches walk from the nominal multiplier and from the middle of the interval.
_MULTIPLIER_RADIUS = 16
_WALK_LENGTH = 32768
_WALK_BLOCK = 2**19  # candidates tried at once, over all channels

# 8-bit outputs times 2^(S+32), and products of int32, stay below 2^62 up to this S.
MAX_SHIFT = 21
_ALL = slice(None)
_MASK32 = 2**32 - 1


@dataclass(frozen=True)
class WantedShift:
    """The common shift to look for: `spare` bits below the largest possible one, or a given one."""

    spare: int = 0
    fixed: int | None = None


@dataclass(frozen=True, eq=False)
class Channels:
    """What the live channels of a layer ask for: shapes (L,), and (L, K) with a column per output k > low.

    Attributes:
        scale: the rule's slope.
        largest_output: the largest magnitude of the output without rounding and saturation.
        at, needed: at a = at + f the output must be >= needed: t_k times `factor` and k, or, where t_k is out of
            reach, the end of the range and the highest output there.
        before, excess: likewise, at a = before + f the output must be < excess.
        start_min, start_max: the f that keep a in int32.
        switch_min, switch_max: the f with which a changes its sign between the last threshold up to the zero
            point and the first one above it.
        split: how many columns belong to k <= zero_point.
        factor: 2^pre times the factor of the accumulator.
    """

    scale: Float64Array
    largest_output: Float64Array
    at: Int64Array
    needed: Int64Array
    before: Int64Array
    excess: Int64Array
    start_min: Int64Array
    start_max: Int64Array
    switch_min: Int64Array
    switch_max: Int64Array
    split: int
    factor: int

    @staticmethod
    def of(rule: Requant, acc_min: Int64Array, acc_max: Int64Array, live: Int64Array, factor: int) -> Channels:
        lowest = rule.apply(acc_min)[live, None].astype(np.int64)
        highest = rule.apply(acc_max)[live, None].astype(np.int64)
        thresholds = rule.thresholds()[live]
        first, last = acc_min[live, None], acc_max[live, None]
        outputs = np.arange(rule.low + 1, rule.high + 1)
        scale, zp = rule.real_scale()[live], rule.zero_point
        start_min, start_max = INT32_MIN - acc_min[live] * factor, INT32_MAX - acc_max[live] * factor
        split = zp - rule.low
        # Column split - 1 is the zero point's.
        two_sided = 0 < split < outputs.size
        switch_min = -thresholds[:, split] * factor if two_sided else np.ones_like(start_min)
        switch_max = -(thresholds[:, split - 1] - 1) * factor - 1 if two_sided else np.zeros_like(start_max)
        return Channels(
            scale=scale,
            largest_output=np.maximum(np.abs(acc_min[live] * scale + zp), np.abs(acc_max[live] * scale + zp)),
            at=np.clip(thresholds, first, last) * factor,
            needed=np.minimum(outputs, highest),
            before=np.clip(thresholds - 1, first, last) * factor,
            excess=np.maximum(outputs, lowest + 1),
            start_min=start_min,
            start_max=start_max,
            switch_min=np.maximum(switch_min, start_min),
            switch_max=np.minimum(switch_max, start_max),
            split=split,
            factor=factor,
        )

    def take(self, index: Int64Array) -> Channels:
        names = (f.name for f in fields(self) if f.name not in ("split", "factor"))
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name)[index] for name in names}
        return replace(self, **arrays)

    def interval(
        self, shift: Int64Array, multiplier: Int64Array, columns: slice = _ALL
    ) -> tuple[Int64Array, Int64Array]:
        """(lo, width) of lo <= f m + C 2^32 < lo + width; no solution where width <= 0."""
        scale, m = shift[:, None] + 32, multiplier[:, None]
        lo = np.max((self.needed[:, columns] << scale) - self.at[:, columns] * m, axis=1)
        hi = np.min((self.excess[:, columns] << scale) - self.before[:, columns] * m, axis=1)
        return lo, hi - lo


@dataclass(frozen=True, eq=False)
class Lines:
    """What was found for some live channels: m, C, the sign step D and f; arbitrary where not `solved`.

    `width` is that of the (narrowest) interval.
    """

    multiplier: Int64Array
    offset: Int64Array
    sign_step: Int64Array
    start: Int64Array
    width: Int64Array
    solved: BoolArray

    @staticmethod
    def none(channels: int) -> Lines:
        zeros = np.zeros(channels, np.int64)
        return Lines(zeros, zeros, zeros, zeros, zeros, np.zeros(channels, np.bool_))

    def updated(self, where: Int64Array, found: Lines) -> Lines:
        """These lines with those at `where` replaced by the solved ones of `found`."""
        arrays: dict[str, NDArray[Any]] = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for name, array in arrays.items():
            array[where[found.solved]] = getattr(found, name)[found.solved]
        return Lines(**arrays)


class Search:
    """The lines of the live channels of a layer, form by form."""

    def __init__(self, channels: Channels, start_fixed: bool, wanted: WantedShift) -> None:
        self.channels, self.start_fixed, self.wanted = channels, start_fixed, wanted

    @property
    def shift_without_channels(self) -> int:
        """The common shift where no channel asks for one."""
        return MAX_SHIFT - self.wanted.spare if self.wanted.fixed is None else self.wanted.fixed

    def lines(self, form: Form) -> tuple[Int64Array, Lines]:
        """The shifts and the lines in one of the forms that have any."""
        if form == "smmla_shift":
            return self.shifts, self._lines(self.shifts, _one_line)
        return self.common_shift, self._common if form == "smmla" else self._signed

    @cached_property
    def shifts(self) -> Int64Array:
        """Each channel's largest S; negative where there is none.

        m < 2^31 wants scale / factor * 2^(32 + S) < 2^31, and |t| < 2^31 wants |output| < 2^(31 - S), before
        it is saturated.
        """
        _, scale_bits = np.frexp(self.channels.scale / self.channels.factor)
        _, output_bits = np.frexp(self.channels.largest_output + 2)
        shifts = np.minimum(-1 - scale_bits, 31 - output_bits)
        return np.minimum(shifts, MAX_SHIFT).astype(np.int64)

    @cached_property
    def common_shift(self) -> Int64Array:
        """Negative, so that there are no lines, where a channel can't have the shift that is wanted."""
        largest = int(np.min(self.shifts, initial=MAX_SHIFT))
        wanted = largest - self.wanted.spare if self.wanted.fixed is None else self.wanted.fixed
        return np.full_like(self.shifts, wanted if wanted <= largest else -1)

    @cached_property
    def _common(self) -> Lines:
        return self._lines(self.common_shift, _one_line)

    @cached_property
    def _signed(self) -> Lines:
        """One line where that is enough, else two."""
        rest = np.flatnonzero(~self._common.solved)
        search = Search(self.channels.take(rest), self.start_fixed, self.wanted)
        return self._common.updated(rest, search._lines(self.common_shift[rest], _two_lines))

    def _lines(self, shift: Int64Array, find: _Finder) -> Lines:
        """Try multipliers from the nominal one outwards."""
        channels = self.channels
        nominal = np.rint(np.ldexp(channels.scale / channels.factor, 32 + shift)).astype(np.int64)
        # A change of m by 1 widens an interval by the distance of the thresholds at most.
        gain = 2 * _MULTIPLIER_RADIUS * np.max(channels.at - channels.before[:, :1], axis=1, initial=0)
        lines, todo = Lines.none(shift.size), shift >= 0
        for step in _zigzag(np.arange(2 * _MULTIPLIER_RADIUS + 1)):
            multiplier = nominal + step
            tried = np.flatnonzero(todo & (multiplier > 0) & (multiplier <= INT32_MAX))
            if tried.size:
                found = find(channels.take(tried), shift[tried], multiplier[tried], self.start_fixed)
                lines = lines.updated(tried, found)
                todo[tried] = ~found.solved & (found.width > -gain[tried])
        return lines


_Finder = Callable[[Channels, Int64Array, Int64Array, bool], Lines]


def _one_line(channels: Channels, shift: Int64Array, multiplier: Int64Array, start_fixed: bool) -> Lines:
    """Find (f, C) with f m + C 2^32 in the interval, C near the middle of the interval, so that f is near 0.

    For a given C, the f that just reaches the interval overshoots its lower end by (C 2^32 - lo) mod m.
    """
    lo, width = channels.interval(shift, multiplier)
    middle = (lo + (width >> 1)) >> 32
    gap, stride = (middle << 32) - lo, 2**32 % multiplier

    def hits(index: Int64Array, steps: Int64Array) -> BoolArray:
        overshoot = (gap[index, None] + steps * stride[index, None]) % multiplier[index, None]
        return overshoot < width[index, None]

    if start_fixed:
        offset = -(-lo >> 32)
        start, solved = np.zeros_like(lo), (offset << 32) < lo + width
    else:
        steps, solved = _walk(width > 0, hits)
        offset = middle + steps
        start = -(((offset << 32) - lo) // multiplier)
    solved &= (channels.start_min <= start) & (start <= channels.start_max)
    solved &= (offset >= INT32_MIN) & (offset <= INT32_MAX)
    return Lines(multiplier, offset, np.zeros_like(offset), start, width, solved)


def _two_lines(channels: Channels, shift: Int64Array, multiplier: Int64Array, start_fixed: bool) -> Lines:
    """Find an f that has an integer C on both sides of the sign change of a.

    For a given f, the smallest C that reaches the interval overshoots its lower end by (f m - lo) mod 2^32.
    """
    if not 0 < channels.split < channels.at.shape[1]:
        return Lines.none(shift.size)
    lo, width = channels.interval(shift, multiplier, slice(channels.split, None))
    lo_below, width_below = channels.interval(shift, multiplier, slice(None, channels.split))

    def hits(index: Int64Array, steps: Int64Array) -> BoolArray:
        i, product = (index, None), steps * multiplier[index, None]
        above = (product - lo[i]) & _MASK32 < width[i]
        below = (product - lo_below[i]) & _MASK32 < width_below[i]
        return above & below & (channels.switch_min[i] <= steps) & (steps <= channels.switch_max[i])

    narrowest = np.minimum(width, width_below)
    start, solved = _walk(narrowest > 0, hits, 1 if start_fixed else _WALK_LENGTH)
    offset, offset_below = (-((start * multiplier - low) >> 32) for low in (lo, lo_below))
    solved &= (offset_below <= offset) & (offset_below >= INT32_MIN) & (offset <= INT32_MAX)
    return Lines(multiplier, offset, offset - offset_below, start, narrowest, solved)


def _walk(
    possible: BoolArray, hits: Callable[[Int64Array, Int64Array], BoolArray], length: int = _WALK_LENGTH
) -> tuple[Int64Array, BoolArray]:
    """Per channel the first of the steps 0, 1, -1, 2, -2, ... that hits, and whether there is one."""
    steps, solved = np.zeros(possible.shape, np.int64), np.zeros(possible.shape, np.bool_)
    todo, first = np.flatnonzero(possible), 0
    while todo.size and first < length:
        last = min(first + max(first, 1), first + _WALK_BLOCK // todo.size + 1, length)
        candidates = _zigzag(np.arange(first, last))
        hit = hits(todo, candidates)
        some = np.any(hit, axis=1)
        steps[todo[some]] = candidates[np.argmax(hit[some], axis=1)]
        solved[todo[some]] = True
        todo, first = todo[~some], last
    return steps, solved


def _zigzag(index: Int64Array) -> Int64Array:
    """0, 1, -1, 2, -2, ... at 0, 1, 2, 3, 4, ..."""
    return np.where(index % 2 == 1, (index + 1) // 2, -(index // 2))

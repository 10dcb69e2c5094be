"""Strength reduction of requantisation: two to four instructions that are provably the source's rule.

The machine sequence of a `RequantPlan`, per output, on a core with SMMLA (t = offset + hi32(a * multiplier)):

    a = (acc_raw << pre) + start              what the kernel accumulates anyway; wraps in between
    u = offset - (sign_step & (a >> 31))      form "smmla_signed" only; else u = offset
    t = u + hi32(a * multiplier)              SMMLA
    y = saturate(t >> shift)                  SSAT or USAT with ASR; an ASR by register in form "smmla_shift"
    y = clamp(y, low, high)                   only if the clamp is no range of SSAT or USAT

With acc = acc_raw + base and start = (base << pre) + f we have a = (acc << pre) + f; and for multiplier m,
offset C and shift S

    y >= k   <=>   t >= k 2^S   <=>   a m + C 2^32 >= k 2^(S+32).

The rule asks for y >= k from its threshold t_k on, and not before. Both together bound one number,

    max_k(k 2^(S+32) - t_k 2^pre m)  <=  f m + C 2^32  <  min_k(k 2^(S+32) - (t_k - 1) 2^pre m),

so integers f and C with the middle in that interval are a solution, in exact arithmetic. They move it in
steps of m and of 2^32; together they reach nearly any value. TFLite's double rounding sends halves away from
zero: its thresholds up to the zero point lie one rounding unit off the line of the others, hence the second
offset of "smmla_signed".

`prove` knows nothing of this: it runs the sequence on both sides of every threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Float64Array,
    Int32Array,
    Int64Array,
    IntegerArray,
    wrap_int32,
)
from tinycompile.numerics.latitude import Form, Latitude, RequantShape
from tinycompile.numerics.requant import BoolArray, Requant, TfliteRequant, has_one_output, is_step_function

DSP_FORMS: tuple[Form, ...] = ("smmla", "smmla_signed", "smmla_shift")
"""Cheapest first on cores with SMMLA."""

# How far the searches walk from the nominal multiplier and from the middle of the interval.
_MULTIPLIER_RADIUS = 16
_WALK_LENGTH = 32768
_WALK_BLOCK = 2**19  # candidates tried at once, over all channels

# 8-bit outputs times 2^(S+32), and products of int32, stay below 2^62 up to this S.
_MAX_SHIFT = 21

_ALL = slice(None)
_MASK32 = 2**32 - 1


@dataclass(frozen=True, eq=False)
class RequantPlan:
    """The constants of one layer's requantisation; all arrays have shape (C,).

    Attributes:
        form: the machine sequence, one for all channels. "exact": the rule itself, on a >> pre, or the offset
            in constant channels.
        pre: the left shift that the kernel's accumulator carries.
        shift: S; the same for all channels except in form "smmla_shift".
        multiplier, offset, sign_step: m, C and the difference of the offsets for a >= 0 and a < 0.
        start: what the accumulator starts from.
        low, high: the rule's clamp.
        constant: channels with one output for all reachable accumulators: multiplier 0, and a may wrap.
        rule: the rule that was asked for.
    """

    form: Form
    pre: int
    shift: Int32Array
    multiplier: Int32Array
    offset: Int32Array
    start: Int32Array
    sign_step: Int32Array
    low: int
    high: int
    constant: BoolArray
    rule: Requant

    @property
    def immediate_shift(self) -> int:
        """S of the forms in which it is part of the instruction."""
        if self.form not in ("smmla", "smmla_signed"):
            raise ValueError(f"form {self.form} has no common shift")
        return int(self.shift[0])

    @property
    def shape_in_code(self) -> RequantShape:
        """What another plan must have in common with this one for the same code."""
        return RequantShape(
            self.pre, self.form, None if self.form == "smmla_shift" else int(self.shift.min(initial=31))
        )

    @property
    def unsigned(self) -> bool:
        """Whether to saturate with USAT; else with SSAT."""
        return self.low >= 0

    @property
    def saturate_bits(self) -> int:
        """The narrowest USAT or SSAT that holds [low, high]."""
        if self.unsigned:
            return self.high.bit_length()
        return 1 + max(self.high.bit_length(), (-self.low - 1).bit_length())

    @property
    def saturate_range(self) -> tuple[int, int]:
        if self.unsigned:
            return 0, 2**self.saturate_bits - 1
        return -(2 ** (self.saturate_bits - 1)), 2 ** (self.saturate_bits - 1) - 1

    @property
    def needs_clamp(self) -> bool:
        """Whether [low, high] is narrower than what the saturation gives."""
        return (self.low, self.high) != self.saturate_range

    def apply(self, acc_raw: IntegerArray) -> Int32Array:
        """What the machine makes of `acc_raw`, shape (..., C): the accumulator before `pre` and `start`."""
        a = wrap_int32((acc_raw.astype(np.int64) << self.pre) + self.start)
        if self.form == "exact":
            return np.where(self.constant, self.offset, self.rule.apply(a >> self.pre))
        saturated = np.clip(wrap_int32(self._sum(a)) >> self.shift, *self.saturate_range)
        return np.clip(saturated, self.low, self.high).astype(np.int32)

    def _sum(self, a: Int64Array) -> Int64Array:
        """t, before int32 wraps it."""
        offset = self.offset.astype(np.int64) - (self.sign_step & (a >> 31))
        return offset + ((a * self.multiplier) >> 32)

    def overflows(self, acc_raw_min: Int64Array, acc_raw_max: Int64Array) -> BoolArray:
        """Per channel, whether a, u or t leaves int32 for some accumulator in the range.

        `start` is taken modulo 2^32, and a with it: a wraps inside the range iff it doesn't grow by as much
        as the accumulator does. t and u are monotone in a, so their extremes are at the ends.
        """
        scaled = np.stack([acc_raw_min, acc_raw_max]) << self.pre
        a = wrap_int32(scaled + self.start)
        wraps = a[1] - a[0] != scaled[1] - scaled[0]
        if self.form == "exact":
            return wraps & ~self.constant
        lowest_offset = self.offset.astype(np.int64) - self.sign_step
        t = self._sum(a)
        matters = (self.multiplier != 0) | (self.sign_step != 0)
        return (wraps & matters) | (lowest_offset < INT32_MIN) | (t[0] < INT32_MIN) | (t[1] > INT32_MAX)


def fits(rule: Requant, acc_min: Int64Array, acc_max: Int64Array, pre: int) -> BoolArray:
    """Per channel, whether there can be a plan: acc << pre stays in int32 and the rule is a step function there, or
    the output is constant.
    """
    inside = (acc_min >= INT32_MIN >> pre) & (acc_max <= INT32_MAX >> pre)
    return (inside & is_step_function(rule, acc_min, acc_max)) | has_one_output(rule, acc_min, acc_max)


def solve(
    rule: Requant,
    acc_min: Int64Array,
    acc_max: Int64Array,
    base: Int64Array,
    pre: int,
    *,
    forms: Sequence[Form] = DSP_FORMS,
    start_fixed: bool = False,
    latitude: Latitude | None = None,
) -> RequantPlan:
    """The first of `forms` that is exactly `rule` on every channel, proved; "exact" if there is none.

    Args:
        rule: the meaning, a function of the true accumulator acc.
        acc_min, acc_max: the reachable range of acc per channel, ends included.
        base: acc = acc_raw + base, where acc_raw << pre is what the kernel accumulates if it starts from 0.
        pre: see `fits` for the largest that is possible.
        forms: the target's sequences in order of preference.
        start_fixed: the kernel can only start from base << pre.
        latitude: of updates, where the weights can be replaced without the code.
    """
    if pre < 0:
        raise ValueError("pre must not be negative")
    if any(np.shape(array) != (rule.channels,) for array in (acc_min, acc_max, base)):
        raise ValueError("acc_min, acc_max and base must be vectors with one entry per channel")
    if np.any(acc_min > acc_max):
        raise ValueError("an accumulator range is empty")
    if not np.all(fits(rule, acc_min, acc_max, pre)):
        raise ValueError(f"acc << {pre} overflows int32, or the rule is no step function")
    plan = _solve(rule, acc_min, acc_max, base, pre, forms, start_fixed, latitude)
    reason = prove(plan, rule, acc_min, acc_max, base)
    if reason is not None:
        raise ArithmeticError(f"the requantisation solver is wrong: {reason}")
    return plan


def largest_shift(rule: Requant, acc_min: Int64Array, acc_max: Int64Array, pre: int) -> int:
    """The largest S that all channels can have together, for some form with a common one; negative if there is none."""
    live = np.flatnonzero(rule.apply(acc_min) != rule.apply(acc_max))
    return int(
        np.min(_Search(_Channels.of(rule, acc_min, acc_max, live, pre), False, _WantedShift()).shifts, initial=31)
    )


def _solve(
    rule: Requant,
    acc_min: Int64Array,
    acc_max: Int64Array,
    base: Int64Array,
    pre: int,
    forms: Sequence[Form],
    start_fixed: bool,
    latitude: Latitude | None,
) -> RequantPlan:
    lowest = rule.apply(acc_min)
    constant = has_one_output(rule, acc_min, acc_max)
    channels = _Channels.of(rule, acc_min, acc_max, np.flatnonzero(~constant), pre)
    exact = _exact_plan(rule, pre, base, np.where(constant, lowest, 0), constant)
    searches = dict[_WantedShift, _Search]()
    for form, wanted in _ways(rule, forms, latitude):
        if form == "exact":
            break
        search = searches.setdefault(wanted, _Search(channels, start_fixed, wanted))
        shift, lines = search.lines(form)
        if np.all(lines.solved):
            return _reduced(exact, form, shift, lines, search.shift_without_channels)
    return exact


@dataclass(frozen=True)
class _WantedShift:
    """The common shift to look for: `spare` bits below the largest possible one, or a given one."""

    spare: int = 0
    fixed: int | None = None


def _ways(rule: Requant, forms: Sequence[Form], latitude: Latitude | None) -> Iterator[tuple[Form, _WantedShift]]:
    """Forms and shifts in order of preference."""
    if latitude is None:
        for form in forms:
            yield form, _WantedShift()
    elif latitude.shape is not None:
        if latitude.shape.form in forms:
            yield latitude.shape.form, _WantedShift(fixed=latitude.shape.shift)
    else:
        # Two lines hold one, too: whether one is enough may be another answer for other weights.
        for form in forms:
            if form != "smmla" or not _may_need_two_lines(rule):
                for spare in Latitude.SPARE_BITS:
                    yield form, _WantedShift(spare)


def _may_need_two_lines(rule: Requant) -> bool:
    """Whether halves go away from zero, on both sides of it."""
    away = isinstance(rule, TfliteRequant) and not rule.single_rounding
    return away and rule.low < rule.zero_point < rule.high


def _exact_plan(rule: Requant, pre: int, base: Int64Array, offset: Int32Array, constant: BoolArray) -> RequantPlan:
    zeros = np.zeros(base.shape, np.int32)
    start = wrap_int32(base << pre).astype(np.int32)
    return RequantPlan("exact", pre, zeros, zeros, offset, start, zeros, rule.low, rule.high, constant, rule)


def _reduced(
    exact: RequantPlan, form: Form, live_shift: Int64Array, lines: _Lines, shift_without_channels: int
) -> RequantPlan:
    """Spread the lines over all channels; constant ones get the middle of their output's interval."""
    live = ~exact.constant

    def spread(values: Int64Array, others: Int64Array | int = 0) -> Int64Array:
        everywhere = np.zeros(live.shape, np.int64) + others
        everywhere[live] = values
        return everywhere

    shift = spread(live_shift, int(np.min(live_shift, initial=shift_without_channels)))
    middle = (exact.offset << shift) + ((1 << shift) >> 1)
    return replace(
        exact,
        form=form,
        shift=shift.astype(np.int32),
        multiplier=spread(lines.multiplier).astype(np.int32),
        offset=spread(lines.offset, middle).astype(np.int32),
        start=wrap_int32(exact.start + spread(lines.start)).astype(np.int32),
        sign_step=spread(lines.sign_step).astype(np.int32),
    )


def prove(plan: RequantPlan, rule: Requant, acc_min: Int64Array, acc_max: Int64Array, base: Int64Array) -> str | None:
    """None if `plan` is `rule` for every accumulator in [acc_min, acc_max], else the reason why not.

    The argument. (1) The plan is monotone on the range: nothing overflows, multiplier and sign_step are not
    negative, and shifts, saturation and clamps are monotone. (2) For every k, the rule reaches k exactly at
    t_k: it is evaluated at t_k and at t_k - 1, or at the end of the range if t_k lies outside; that the rule
    is monotone is its contract. (3) The plan equals the rule at these points and at both ends. Between two
    neighbouring ones, t_j and t_k - 1 say, the rule is constant by (2), and the plan is by (1), since it is
    monotone and equal at both.
    """
    if (plan.low, plan.high) != (rule.low, rule.high):
        return "the clamp differs from the rule's"
    if np.any(plan.multiplier < 0) or np.any(plan.sign_step < 0):
        return "a negative multiplier or sign step is not monotone"
    if np.any(plan.shift < 0) or np.any(plan.shift > 31):
        return "a shift is not encodable"
    if plan.form in ("smmla", "smmla_signed") and np.any(plan.shift != plan.shift[0]):
        return f"form {plan.form} has one shift for all channels"
    if not np.all((acc_min == acc_max) | is_step_function(rule, acc_min, acc_max)):
        return "the rule is no step function for these accumulators"
    overflow = plan.overflows(acc_min - base, acc_max - base)
    if np.any(overflow):
        return f"channel {np.argmax(overflow)}: int32 overflow"
    steps = np.arange(rule.low + 1, rule.high + 1)[:, None]
    thresholds = rule.thresholds().T
    at, before = np.clip(thresholds, acc_min, acc_max), np.clip(thresholds - 1, acc_min, acc_max)
    expected_at, expected_before = rule.apply(at), rule.apply(before)
    several = acc_min != acc_max  # a single accumulator may lie where thresholds say nothing
    wrong_at = (expected_at < steps) & (thresholds <= acc_max) & several
    wrong_before = (expected_before >= steps) & (thresholds > acc_min) & several
    if np.any(wrong_at) or np.any(wrong_before):
        return "the rule's thresholds contradict the rule"
    ends = np.stack([acc_min, acc_max])
    for points, expected in ((at, expected_at), (before, expected_before), (ends, rule.apply(ends))):
        wrong = plan.apply(points - base) != expected
        if np.any(wrong):
            row, channel = np.argwhere(wrong)[0]
            return f"channel {channel}: the plan differs from the rule at accumulator {points[row, channel]}"
    return None


@dataclass(frozen=True, eq=False)
class _Channels:
    """What the live channels of a layer ask for: shapes (L,), and (L, K) with a column per output k > low.

    Attributes:
        scale: the rule's slope.
        largest_output: the largest magnitude of the output without rounding and saturation.
        at, needed: at a = at + f the output must be >= needed: t_k << pre and k, or, where t_k is out of
            reach, the end of the range and the highest output there.
        before, excess: likewise, at a = before + f the output must be < excess.
        start_min, start_max: the f that keep a in int32.
        switch_min, switch_max: the f with which a changes its sign between the last threshold up to the zero
            point and the first one above it.
        split: how many columns belong to k <= zero_point.
        pre: the left shift of the accumulator.
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
    pre: int

    @staticmethod
    def of(rule: Requant, acc_min: Int64Array, acc_max: Int64Array, live: Int64Array, pre: int) -> _Channels:
        lowest = rule.apply(acc_min)[live, None].astype(np.int64)
        highest = rule.apply(acc_max)[live, None].astype(np.int64)
        thresholds = rule.thresholds()[live]
        first, last = acc_min[live, None], acc_max[live, None]
        outputs = np.arange(rule.low + 1, rule.high + 1)
        scale, zp = rule.real_scale()[live], rule.zero_point
        start_min, start_max = INT32_MIN - (acc_min[live] << pre), INT32_MAX - (acc_max[live] << pre)
        split = zp - rule.low
        # Column split - 1 is the zero point's.
        two_sided = 0 < split < outputs.size
        switch_min = -(thresholds[:, split] << pre) if two_sided else np.ones_like(start_min)
        switch_max = -((thresholds[:, split - 1] - 1) << pre) - 1 if two_sided else np.zeros_like(start_max)
        return _Channels(
            scale=scale,
            largest_output=np.maximum(np.abs(acc_min[live] * scale + zp), np.abs(acc_max[live] * scale + zp)),
            at=np.clip(thresholds, first, last) << pre,
            needed=np.minimum(outputs, highest),
            before=np.clip(thresholds - 1, first, last) << pre,
            excess=np.maximum(outputs, lowest + 1),
            start_min=start_min,
            start_max=start_max,
            switch_min=np.maximum(switch_min, start_min),
            switch_max=np.minimum(switch_max, start_max),
            split=split,
            pre=pre,
        )

    def take(self, index: Int64Array) -> _Channels:
        names = (f.name for f in fields(self) if f.name not in ("split", "pre"))
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
class _Lines:
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
    def none(channels: int) -> _Lines:
        zeros = np.zeros(channels, np.int64)
        return _Lines(zeros, zeros, zeros, zeros, zeros, np.zeros(channels, np.bool_))

    def updated(self, where: Int64Array, found: _Lines) -> _Lines:
        """These lines with those at `where` replaced by the solved ones of `found`."""
        arrays: dict[str, NDArray[Any]] = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for name, array in arrays.items():
            array[where[found.solved]] = getattr(found, name)[found.solved]
        return _Lines(**arrays)


class _Search:
    """The lines of the live channels of a layer, form by form."""

    def __init__(self, channels: _Channels, start_fixed: bool, wanted: _WantedShift) -> None:
        self.channels, self.start_fixed, self.wanted = channels, start_fixed, wanted

    @property
    def shift_without_channels(self) -> int:
        """The common shift where no channel asks for one."""
        return _MAX_SHIFT - self.wanted.spare if self.wanted.fixed is None else self.wanted.fixed

    def lines(self, form: Form) -> tuple[Int64Array, _Lines]:
        """The shifts and the lines in one of the forms that have any."""
        if form == "smmla_shift":
            return self.shifts, self._lines(self.shifts, _one_line)
        return self.common_shift, self._common if form == "smmla" else self._signed

    @cached_property
    def shifts(self) -> Int64Array:
        """Each channel's largest S; negative where there is none.

        m < 2^31 wants scale * 2^(32 - pre + S) < 2^31, and |t| < 2^31 wants |output| < 2^(31 - S), before
        it is saturated.
        """
        _, scale_bits = np.frexp(self.channels.scale)
        _, output_bits = np.frexp(self.channels.largest_output + 2)
        shifts = np.minimum(self.channels.pre - 1 - scale_bits, 31 - output_bits)
        return np.minimum(shifts, _MAX_SHIFT).astype(np.int64)

    @cached_property
    def common_shift(self) -> Int64Array:
        """Negative, so that there are no lines, where a channel can't have the shift that is wanted."""
        largest = int(np.min(self.shifts, initial=_MAX_SHIFT))
        wanted = largest - self.wanted.spare if self.wanted.fixed is None else self.wanted.fixed
        return np.full_like(self.shifts, wanted if wanted <= largest else -1)

    @cached_property
    def _common(self) -> _Lines:
        return self._lines(self.common_shift, _one_line)

    @cached_property
    def _signed(self) -> _Lines:
        """One line where that is enough, else two."""
        rest = np.flatnonzero(~self._common.solved)
        search = _Search(self.channels.take(rest), self.start_fixed, self.wanted)
        return self._common.updated(rest, search._lines(self.common_shift[rest], _two_lines))

    def _lines(self, shift: Int64Array, find: _Finder) -> _Lines:
        """Try multipliers from the nominal one outwards."""
        channels = self.channels
        nominal = np.rint(np.ldexp(channels.scale, 32 - channels.pre + shift)).astype(np.int64)
        # A change of m by 1 widens an interval by the distance of the thresholds at most.
        gain = 2 * _MULTIPLIER_RADIUS * np.max(channels.at - channels.before[:, :1], axis=1, initial=0)
        lines, todo = _Lines.none(shift.size), shift >= 0
        for step in _zigzag(np.arange(2 * _MULTIPLIER_RADIUS + 1)):
            multiplier = nominal + step
            tried = np.flatnonzero(todo & (multiplier > 0) & (multiplier <= INT32_MAX))
            if tried.size:
                found = find(channels.take(tried), shift[tried], multiplier[tried], self.start_fixed)
                lines = lines.updated(tried, found)
                todo[tried] = ~found.solved & (found.width > -gain[tried])
        return lines


_Finder = Callable[[_Channels, Int64Array, Int64Array, bool], _Lines]


def _one_line(channels: _Channels, shift: Int64Array, multiplier: Int64Array, start_fixed: bool) -> _Lines:
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
    return _Lines(multiplier, offset, np.zeros_like(offset), start, width, solved)


def _two_lines(channels: _Channels, shift: Int64Array, multiplier: Int64Array, start_fixed: bool) -> _Lines:
    """Find an f that has an integer C on both sides of the sign change of a.

    For a given f, the smallest C that reaches the interval overshoots its lower end by (f m - lo) mod 2^32.
    """
    if not 0 < channels.split < channels.at.shape[1]:
        return _Lines.none(shift.size)
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
    return _Lines(multiplier, offset, offset - offset_below, start, narrowest, solved)


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

"""Strength reduction of requantisation: two to four instructions that are provably the source's rule.

The machine sequence of a `RequantPlan`, per output, on a core with SMMLA (t = offset + hi32(a * multiplier)):

    a = acc_raw 2^pre F + start               what the kernel accumulates anyway; wraps in between
    u = offset - (sign_step & (a >> 31))      form "smmla_signed" only; else u = offset
    t = u + hi32(a * multiplier)              SMMLA
    y = saturate(t >> shift)                  SSAT or USAT with ASR; an ASR by register in form "smmla_shift"
    y = clamp(y, low, high)                   only if the clamp is no range of SSAT or USAT

F is 1 except where a transform leaves a factor. With acc = acc_raw + base and start = base 2^pre F + f we have
a = acc 2^pre F + f; and for multiplier m, offset C and shift S

    y >= k   <=>   t >= k 2^S   <=>   a m + C 2^32 >= k 2^(S+32).

The rule asks for y >= k from its threshold t_k on, and not before. Both together bound one number,

    max_k(k 2^(S+32) - t_k 2^pre F m)  <=  f m + C 2^32  <  min_k(k 2^(S+32) - (t_k - 1) 2^pre F m),

so integers f and C with the middle in that interval are a solution, in exact arithmetic. They move it in
steps of m and of 2^32; together they reach nearly any value. TFLite's double rounding sends halves away from
zero: its thresholds up to the zero point lie one rounding unit off the line of the others, hence the second
offset of "smmla_signed".

`prove` knows nothing of this: it runs the sequence on both sides of every threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Int32Array,
    Int64Array,
    wrap_int32,
)
from tinycompile.numerics.latitude import Form, Latitude
from tinycompile.numerics.requant import BoolArray, Requant, TfliteRequant, has_one_output, is_step_function
from tinycompile.numerics.requant_lines import Channels, Lines, Search, WantedShift
from tinycompile.numerics.requant_plan import RequantPlan, prove

DSP_FORMS: tuple[Form, ...] = ("smmla", "smmla_signed", "smmla_shift")
"""Cheapest first on cores with SMMLA."""


def fits(rule: Requant, acc_min: Int64Array, acc_max: Int64Array, pre: int, factor: int = 1) -> BoolArray:
    """Per channel, whether there can be a plan: acc 2^pre factor stays in int32 and the rule is a step function there,
    or the output is constant.
    """
    scale = factor << pre
    inside = (acc_min * scale >= INT32_MIN) & (acc_max * scale <= INT32_MAX)
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
    factor: int = 1,
) -> RequantPlan:
    """The first of `forms` that is exactly `rule` on every channel, proved; "exact" if there is none.

    Args:
        rule: the meaning, a function of the true accumulator acc.
        acc_min, acc_max: the reachable range of acc per channel, ends included.
        base: acc = acc_raw + base, where acc_raw 2^pre factor is what the kernel accumulates if it starts from 0.
        pre: see `fits` for the largest that is possible.
        forms: the target's sequences in order of preference.
        start_fixed: the kernel can only start from base 2^pre factor.
        latitude: of updates, where the weights can be replaced without the code.
        factor: what the kernel's accumulator is multiplied by besides 2^pre.
    """
    if pre < 0 or factor < 1:
        raise ValueError("pre must not be negative, and a factor is at least 1")
    if any(np.shape(array) != (rule.channels,) for array in (acc_min, acc_max, base)):
        raise ValueError("acc_min, acc_max and base must be vectors with one entry per channel")
    if np.any(acc_min > acc_max):
        raise ValueError("an accumulator range is empty")
    if not np.all(fits(rule, acc_min, acc_max, pre, factor)):
        raise ValueError(f"acc * {factor << pre} overflows int32, or the rule is no step function")
    lowest = rule.apply(acc_min)
    constant = has_one_output(rule, acc_min, acc_max)
    exact = _exact_plan(rule, pre, factor, base, np.where(constant, lowest, 0), constant)
    channels = Channels.of(rule, acc_min, acc_max, np.flatnonzero(~constant), exact.scale)
    plan = _solve(exact, channels, forms, start_fixed, latitude)
    reason = prove(plan, rule, acc_min, acc_max, base)
    if reason is not None:
        raise ArithmeticError(f"the requantisation solver is wrong: {reason}")
    return plan


def largest_shift(rule: Requant, acc_min: Int64Array, acc_max: Int64Array, pre: int, factor: int = 1) -> int:
    """The largest S that all channels can have together, for some form with a common one; negative if there is none."""
    live = np.flatnonzero(rule.apply(acc_min) != rule.apply(acc_max))
    channels = Channels.of(rule, acc_min, acc_max, live, factor << pre)
    return int(np.min(Search(channels, False, WantedShift()).shifts, initial=31))


def _solve(
    exact: RequantPlan, channels: Channels, forms: Sequence[Form], start_fixed: bool, latitude: Latitude | None
) -> RequantPlan:
    searches = dict[WantedShift, Search]()
    for form, wanted in _ways(exact.rule, forms, latitude):
        if form == "exact":
            break
        search = searches.setdefault(wanted, Search(channels, start_fixed, wanted))
        shift, lines = search.lines(form)
        if np.all(lines.solved):
            return _reduced(exact, form, shift, lines, search.shift_without_channels)
    return exact


def _ways(rule: Requant, forms: Sequence[Form], latitude: Latitude | None) -> Iterator[tuple[Form, WantedShift]]:
    """Forms and shifts in order of preference."""
    if latitude is None:
        for form in forms:
            yield form, WantedShift()
    elif latitude.shape is not None:
        if latitude.shape.form in forms:
            yield latitude.shape.form, WantedShift(fixed=latitude.shape.shift)
    else:
        # Two lines hold one, too: whether one is enough may be another answer for other weights.
        for form in forms:
            if form != "smmla" or not _may_need_two_lines(rule):
                for spare in Latitude.SPARE_BITS:
                    yield form, WantedShift(spare)


def _may_need_two_lines(rule: Requant) -> bool:
    """Whether halves go away from zero, on both sides of it."""
    away = isinstance(rule, TfliteRequant) and not rule.single_rounding
    return away and rule.low < rule.zero_point < rule.high


def _exact_plan(
    rule: Requant, pre: int, factor: int, base: Int64Array, offset: Int32Array, constant: BoolArray
) -> RequantPlan:
    zeros = np.zeros(base.shape, np.int32)
    start = wrap_int32(base * (factor << pre)).astype(np.int32)
    return RequantPlan("exact", pre, zeros, zeros, offset, start, zeros, rule.low, rule.high, constant, rule, factor)


def _reduced(
    exact: RequantPlan, form: Form, live_shift: Int64Array, lines: Lines, shift_without_channels: int
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

"""The machine sequence that requantises a layer's accumulators, and the proof that it is the source's rule.

The symbols are those of `requant_solver`, which finds the constants; the proof knows nothing of how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinycompile.numerics.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Int32Array,
    Int64Array,
    IntegerArray,
    wrap_int32,
)
from tinycompile.numerics.latitude import Form, RequantShape
from tinycompile.numerics.requant import BoolArray, Requant, is_step_function


@dataclass(frozen=True, eq=False)
class RequantPlan:
    """The constants of one layer's requantisation; all arrays have shape (C,).

    Attributes:
        form: the machine sequence, one for all channels. "exact": the rule itself, on a / (2^pre factor), or the offset
            in constant channels.
        pre: the left shift that the kernel's accumulator carries.
        factor: what it is multiplied by besides.
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
    factor: int = 1

    @property
    def scale(self) -> int:
        """How many times the accumulator a is: 2^pre factor."""
        return self.factor << self.pre

    @property
    def immediate_shift(self) -> int:
        """S of the forms in which it is part of the instruction."""
        if self.form not in ("smmla", "smmla_signed"):
            raise ValueError(f"form {self.form} has no common shift")
        return int(self.shift[0])

    @property
    def parameters(self) -> list[Int32Array]:
        """What the forms with a common shift read of each channel behind its start, in this order."""
        return [self.multiplier, self.offset, *([self.sign_step] if self.form == "smmla_signed" else [])]

    @property
    def shape_in_code(self) -> RequantShape:
        """What another plan must have in common with this one for the same code."""
        return RequantShape(
            self.pre, self.form, None if self.form == "smmla_shift" else int(self.shift.min(initial=31)), self.factor
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

    def starting_at(self, start: Int32Array) -> RequantPlan:
        """With these starts; `dataclasses.replace` takes ten times as long, and each of a layer's kernels asks."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, start=start)
        return copy

    def repeated(self, rule: Requant) -> RequantPlan:
        """For a rule whose channels are those of this one's over and over again; its arrays are made when read."""
        copy = object.__new__(_Repeated)
        copy.__dict__.update({name: value for name, value in self.__dict__.items() if name not in _ARRAYS})
        copy.__dict__.update(rule=rule, _first=self)
        return copy

    def apply(self, acc_raw: IntegerArray) -> Int32Array:
        """What the machine makes of `acc_raw`, shape (..., C): the accumulator before `scale` and `start`."""
        a = wrap_int32(acc_raw.astype(np.int64) * self.scale + self.start)
        if self.form == "exact":
            return np.where(self.constant, self.offset, self.rule.apply(a // self.scale))
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
        scaled = np.stack([acc_raw_min, acc_raw_max]) * self.scale
        a = wrap_int32(scaled + self.start)
        wraps = a[1] - a[0] != scaled[1] - scaled[0]
        if self.form == "exact":
            return wraps & ~self.constant
        lowest_offset = self.offset.astype(np.int64) - self.sign_step
        t = self._sum(a)
        matters = (self.multiplier != 0) | (self.sign_step != 0)
        return (wraps & matters) | (lowest_offset < INT32_MIN) | (t[0] < INT32_MIN) | (t[1] > INT32_MAX)


_ARRAYS = ("shift", "multiplier", "offset", "start", "sign_step", "constant")


class _Repeated(RequantPlan):
    """As `RequantPlan.repeated`."""

    def __getattr__(self, name: str) -> IntegerArray | BoolArray:
        """An array that nobody has asked for yet: no field has a default in the class that would be found instead."""
        if name not in _ARRAYS or "_first" not in self.__dict__:
            raise AttributeError(name)
        first: RequantPlan = self.__dict__["_first"]
        self.__dict__[name] = getattr(first, name)[np.arange(self.rule.channels) % first.rule.channels]
        return self.__dict__[name]


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
    overflow = plan.overflows(acc_min - base, acc_max - base)
    if np.any(overflow):
        return f"channel {np.argmax(overflow)}: int32 overflow"
    return first_difference(lambda acc: plan.apply(acc - base), rule, acc_min, acc_max)


def first_difference(
    apply: Callable[[Int64Array], IntegerArray], rule: Requant, acc_min: Int64Array, acc_max: Int64Array
) -> str | None:
    """Where a monotone machine differs from the rule: points (2) and (3) of `prove`; None if nowhere.

    Args:
        apply: the machine's outputs of accumulators of shape (..., C).
    """
    if not np.all((acc_min == acc_max) | is_step_function(rule, acc_min, acc_max)):
        return "the rule is no step function for these accumulators"
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
        wrong = apply(points) != expected
        if np.any(wrong):
            row, channel = np.argwhere(wrong)[0]
            return f"channel {channel}: the plan differs from the rule at accumulator {points[row, channel]}"
    return None

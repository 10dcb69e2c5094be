"""A `StepRequant` as one multiplication in 64 bits: the portable form of every kernel.

    t = acc * multiplier + offset,   y = clamp((t >> shift) + zero_point_after)

and where t is a multiple of 2^shift, which is an exact tie, and ties go to even: the result's lowest bit is cleared.
The offset holds the half. Found per channel, over the reachable accumulators, by an interval for the offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.numerics.fixed_point import Int32Array, Int64Array
from tinycompile.numerics.step_requant import StepRequant

_RADIUS = 64
"""How far from the nominal multiplier to look."""


@dataclass(frozen=True, eq=False)
class StepLine:
    """Constants per channel; `ties`: whether some channel needs the treatment of exact ties.

    `zero_point_after` is added to the shifted value.
    """

    multiplier: Int32Array
    offset: Int64Array
    shift: Int32Array
    ties: bool
    zero_point_after: int


def step_line(rule: StepRequant, acc_min: Int64Array, acc_max: Int64Array) -> StepLine | None:
    """The form for accumulators in [acc_min, acc_max]; None where some channel has none."""
    for ties in (False, True):
        lines = [_channel(rule, c, int(acc_min[c]), int(acc_max[c]), ties) for c in range(rule.channels)]
        found = [line for line in lines if line is not None]
        if len(found) == len(lines):
            multiplier, offset, shift = zip(*found, strict=True)
            return StepLine(
                np.array(multiplier, np.int32),
                np.array(offset, np.int64),
                np.array(shift, np.int32),
                ties,
                rule.even_zero_point,
            )
    return None


def _channel(rule: StepRequant, channel: int, first: int, last: int, ties: bool) -> tuple[int, int, int] | None:
    """(multiplier, offset, shift). The products fit in int64: |acc| <= 2^31, multiplier < 2^31."""
    steps = rule.steps[channel]
    outputs = np.arange(rule.low + 1, rule.high + 1) - rule.even_zero_point
    inside = (steps > first) & (steps <= last)
    lowest = rule.low - rule.even_zero_point + int(np.sum(steps <= first))
    highest = rule.low - rule.even_zero_point + int(np.sum(steps <= last))
    if lowest == highest:
        return 0, (2 * lowest + 1) << 20, 21
    at, wanted = [int(t) for t in steps[inside]], [int(k) for k in outputs[inside]]
    scale = float(rule.scale[channel])
    _, exponent = np.frexp(scale)
    largest_shift = min(31 - int(exponent), 53)
    for shift in dict.fromkeys((largest_shift, largest_shift - 6)):
        if shift < 1:
            continue
        nominal = round(scale * 2.0**shift)
        for step in sorted(range(-_RADIUS, _RADIUS + 1), key=abs):
            multiplier = nominal + step
            if not 0 < multiplier < 2**31:
                continue
            # A tie at t_k goes up to an even k: t may be a multiple. To an odd k nothing goes by a tie.
            lo = max((k << shift) + (ties and k % 2) - t * multiplier for t, k in zip(at, wanted, strict=True))
            hi = min(
                (k << shift) - (not (ties and k % 2)) - (t - 1) * multiplier for t, k in zip(at, wanted, strict=True)
            )
            if lowest > rule.low - rule.even_zero_point:
                # Saturation doesn't hold the output at `lowest` below the first step.
                lo = max(lo, (lowest << shift) + (ties and lowest % 2) - first * multiplier)
            if highest < rule.high - rule.even_zero_point:
                hi = min(hi, ((highest + 1) << shift) - 1 - last * multiplier)
            if lo <= hi and abs(lo) < 2**62:
                return multiplier, (lo + hi) // 2, shift
            if hi - lo < -_RADIUS * multiplier:
                break
    return None

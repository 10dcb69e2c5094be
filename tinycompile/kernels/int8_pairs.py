"""MAXIMUM, MINIMUM, SQUARED_DIFFERENCE, DIV and PRELU of int8 by TFLite's rules."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.binary import Routine, RunCost, binary_kernel
from tinycompile.kernels.generic_c import Struct, range_fields, short_requant
from tinycompile.numerics.fixed_point import get_reciprocal
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops._extremum import Extremum
from tinycompile.ops.div import Div
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.targets.core import Core

MOST_RIGHT = 22
"""A larger right shift leaves no room for the zero point above it."""
_ALIGNMENT_BITS = (16, 17, 15, 14)


@kernel_for(Maximum, Minimum)
def extremum(site: Site, core: Core) -> Kernel | None:
    """`tc_extremum_s8`."""
    op = site.node.op
    if not isinstance(op, Extremum) or op.rule != "tflite":
        return None
    word = 9 if core.has("dsp") else 40
    routine = Routine("extremum", "tc_extremum.h", RunCost(12, word, 12), "bytes", "none", 120)
    form = Struct("tc_extremum_form", {"largest": int(isinstance(op, Maximum))}, "form")
    return binary_kernel(site, op, routine, form)


@kernel_for(SquaredDifference)
def squared_difference(site: Site, core: Core) -> Kernel | None:
    """`tc_squared_difference_s8`, or the long form where an operand has no linear alignment."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, SquaredDifference):
        return None
    rule = op.requant(sig)
    right, aligned = -int(rule.shift[0]), [alignment(op, site, operand) for operand in range(2)]
    if aligned[0] is not None and aligned[1] is not None and 1 <= right <= MOST_RIGHT:
        fields = {"a": aligned[0], "b": aligned[1], "multiplier": int(rule.multiplier[0]), "right": right}
        fields |= {"offset": (rule.zero_point << right) + (1 << (right - 1))}
        each = 11 if core.has("dsp") else 30
        routine = Routine(
            "squared_difference", "tc_squared_difference.h", RunCost.one_by_one(20, each), "short", "smmlar", 180
        )
        return binary_kernel(site, op, routine, Struct("tc_squared_difference_form", fields, "form"))
    return _long_squared_difference(site, op, rule)


def _long_squared_difference(site: Site, op: SquaredDifference, rule: TfliteRequant) -> Kernel | None:
    fields: dict[str, object] = {}
    for name, t in zip("ab", site.sig.inputs, strict=True):
        multiplier, shift = op.factor(site.sig, t)
        fields[name] = {"zero_point": t.zero_point, "multiplier": multiplier, "shift": shift}
    fields |= {"multiplier": int(rule.multiplier[0]), "shift": int(rule.shift[0])}
    fields["range"] = range_fields(rule.zero_point, op.clamp)
    routine = Routine("squared_difference_long", "tc_squared_difference.h", RunCost.one_by_one(20, 50))
    return binary_kernel(site, op, routine, Struct("tc_squared_difference_long_form", fields, "form"))


def alignment(op: SquaredDifference, site: Site, operand: int) -> dict[str, int] | None:
    """Members of a `tc_common_scale` that is exact for all 256 values; None if there is none."""
    t = site.sig.inputs[operand]
    truth = op.aligned(site.sig, operand, INT8_VALUES.astype(np.int64) - t.zero_point)
    values = INT8_VALUES.astype(np.int64)
    if np.array_equal(truth, (values - t.zero_point) << 6):
        return {"factor": 64, "offset": -64 * t.zero_point, "shift": 0}
    real = 64 * t.scale / max(x.scale for x in site.sig.inputs)
    for bits in _ALIGNMENT_BITS:
        factor = round(real * 2.0**bits)
        # The offsets for which every value is rounded rightly are an interval, which may be empty.
        least = int(np.max((truth << bits) - values * factor))
        most = int(np.min(((truth + 1) << bits) - 1 - values * factor))
        if least <= most and abs(least) + 128 * factor < 2**31:
            return {"factor": factor, "offset": least, "shift": bits}
    return None


@kernel_for(Div)
def div(site: Site, core: Core) -> Kernel | None:
    """`tc_div_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Div) or op.rule != "tflite":
        return None
    multiplier, shift = op.scaling(sig)
    a, b = sig.inputs
    fields = {
        "a_zero_point": a.zero_point,
        "b_zero_point": b.zero_point,
        "multiplier": multiplier,
        "shift": shift,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    table = Constant("reciprocals", "int32_t", reciprocals(), "1 / d, in [1/2, 1) by a power of two")
    cost = RunCost.one_by_one(20, 38 if core.has("long_multiply") else 90)
    routine = Routine("div", "tc_div.h", cost, "table", "reciprocals", 220, table)
    return binary_kernel(site, op, routine, Struct("tc_div_form", fields, "form"))


def reciprocals() -> Array:
    """int32[256], of divisors from 0, whose entry counts for nothing, to 255."""
    values, _ = get_reciprocal(np.maximum(np.arange(256), 1), 31)
    return values.astype(np.int32)


@kernel_for(Prelu)
def prelu(site: Site, core: Core) -> Kernel | None:
    """`tc_prelu_s8`, or the long form where the slopes' factor is no right shift of 1 to 15 bits."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Prelu):
        return None
    (multipliers, shifts), (a, b), zero_point = op.factors(sig), sig.inputs, sig.output.zero_point
    fields: dict[str, object] = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point}
    short = short_requant(TfliteRequant(multipliers[1:], shifts[1:], zero_point, *op.clamp))
    if short is not None:
        (entries,) = op.evaluate(sig, (INT8_VALUES, np.array([0], np.int8)))
        table = Constant("table", "int8_t", entries, "results of elements that aren't negative")
        cost = RunCost.one_by_one(16, 13 if core.has("dsp") else 25)
        routine = Routine("prelu", "tc_prelu.h", cost, "short", "table and smmlar", 180, table)
        return binary_kernel(site, op, routine, Struct("tc_prelu_form", fields | {"requant": short}, "form"))
    fields |= {"multiplier": int(multipliers[0]), "shift": int(shifts[0])}
    fields |= {"slope_multiplier": int(multipliers[1]), "slope_shift": int(shifts[1])}
    fields["range"] = range_fields(zero_point, op.clamp)
    routine = Routine("prelu_long", "tc_prelu.h", RunCost.one_by_one(16, 35))
    return binary_kernel(site, op, routine, Struct("tc_prelu_long_form", fields, "form"))

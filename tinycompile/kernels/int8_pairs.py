"""MAXIMUM, MINIMUM, SQUARED_DIFFERENCE, DIV and PRELU of int8 by TFLite's rules."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Signature, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.binary import Routine, RunCost, binary_kernel
from tinycompile.kernels.generic_c import Fields, Struct, factor_fields, range_fields, short_requant
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
    """`tc_squared_difference_s8`, or the long form where the shifts leave no room."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, SquaredDifference):
        return None
    rule, factors = op.requant(sig), [op.factor(sig, t) for t in sig.inputs]
    short = square_fields(op, sig)
    if short is not None:
        equal = sig.inputs[0].scale == sig.inputs[1].scale
        repeated = any(t.elements < sig.output.elements for t in sig.inputs)
        each = (11 if equal or repeated else 16) * (1 if core.has("dsp") else 3)
        cost = RunCost.one_by_one(30, each)
        routine = Routine("squared_difference", "tc_squared_difference.h", cost, "short", "smmlar", 180)
        return binary_kernel(site, op, routine, Struct("tc_squared_difference_form", short, "form"))
    a, b = (
        {"zero_point": t.zero_point, "multiplier": multiplier, "shift": shift}
        for t, (multiplier, shift) in zip(sig.inputs, factors, strict=True)
    )
    factor = factor_fields((int(rule.multiplier[0]), int(rule.shift[0])))
    fields = {"a": a, "b": b, **factor, "range": range_fields(rule.zero_point, op.clamp)}
    routine = Routine("squared_difference_long", "tc_squared_difference.h", RunCost.one_by_one(20, 50))
    return binary_kernel(site, op, routine, Struct("tc_squared_difference_long_form", fields, "form"))


def square_fields(op: SquaredDifference, sig: Signature) -> Fields | None:
    """Members of a `tc_squared_difference_form`; None where the shifts leave no room for it."""
    rule, scales = op.requant(sig), list[Fields]()
    for t in sig.inputs:
        multiplier, shift = op.factor(sig, t)
        if -shift > MOST_RIGHT:
            return None
        scales.append({"zero_point": t.zero_point, "multiplier": multiplier, "right": -shift})
    right, (a, b) = -int(rule.shift[0]), scales
    if not 1 <= right <= MOST_RIGHT:
        return None
    offset = (rule.zero_point << right) + (1 << (right - 1))
    return {"a": a, "b": b, "multiplier": int(rule.multiplier[0]), "right": right, "offset": offset}


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

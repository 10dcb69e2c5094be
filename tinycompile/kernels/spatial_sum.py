"""Sums over rows and columns, and averages from sums."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import INT16, INT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, range_fields, struct_call
from tinycompile.kernels.integer_forms import ScaledForm, scaled_form
from tinycompile.numerics.requant import TfliteRequant, is_step_function
from tinycompile.ops.mean_of_sum import MeanOfSum
from tinycompile.ops.spatial_sum import SpatialSum
from tinycompile.targets.core import Core


@kernel_for(SpatialSum)
def spatial_sum(site: Site, core: Core) -> Kernel | None:
    """`tc_add_pixels`."""
    op = site.node.op
    if not isinstance(op, SpatialSum):
        return None
    _, height, width, channels = site.sig.input.shape
    clear = "" if op.adds else f"    memset(output, 0, {4 * channels});\n"
    function = Function(
        f"{'add_pixels' if op.adds else 'sum_pixels'}_{height}x{width}x{channels}",
        ("const int8_t *input", "int32_t *output"),
        f"{clear}    tc_add_pixels(input, {height * width}, {channels}, output);\n",
        ("kernels/tc_spatial_sum.h",),
        "Sums of all pixels of each channel" + (", added to those of the rows before." if op.adds else "."),
    )
    words, per_pixel = -(-channels // 4), 3.75 if core.has("dsp") else 16
    return Kernel(
        "spatial_sum", function, instructions=round(30 + words * (25 + height * width * per_pixel)), code_bytes=200
    )


@kernel_for(SpatialSum, dtype=None)
def sum_of_sums(site: Site, core: Core) -> Kernel | None:
    """`tc_sum_i16`, `tc_sum_i32`."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, SpatialSum) or op.adds or x.dtype not in (INT16, INT32):
        return None
    _, height, width, channels = x.shape
    function = Function(
        f"sum_{height}x{width}x{channels}",
        (f"const {x.dtype.ctype} *input", "int32_t *output"),
        f"    tc_sum_i{x.dtype.bits}(input, {height * width}, {channels}, output);\n",
        ("kernels/tc_spatial_sum.h",),
        "Sums of sums.",
    )
    return Kernel("sum_of_sums", function, instructions=30 + channels * (8 + 4 * height * width), code_bytes=60)


@kernel_for(MeanOfSum, dtype=INT32)
def mean_of_sum(site: Site, core: Core) -> Kernel | None:
    """`tc_means_of_sums`; None for a rule of another kind that has no linear form."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, MeanOfSum):
        return None
    rule, lowest, highest = op.rule(sig), -128 * op.count, 127 * op.count
    ends = (np.array([bound - op.source.zero_point * op.count]) for bound in (lowest, highest))
    steps = rule is None or bool(np.all(is_step_function(rule, *ends)))
    found = scaled_form(lambda sums: op.of_sum(sig, sums), lowest, highest) if steps else None
    if found is None and rule is not None and not isinstance(rule, TfliteRequant):
        return None
    form = found or ScaledForm(0, 0, 0)
    fields: dict[str, object] = {
        "form": {"multiplier": form.multiplier, "start": form.start, "shift": form.shift},
        "count": op.count,
        "requantizes": int(rule is not None),
        "minus_zero_points": 0,
        "multiplier": 0,
        "shift": 0,
    }
    if isinstance(rule, TfliteRequant):
        fields |= {
            "minus_zero_points": -op.source.zero_point * op.count,
            "multiplier": int(rule.multiplier[0]),
            "shift": int(rule.shift[0]),
        }
    channels = sig.output.elements
    function = struct_call(
        f"means_of_sums_{channels}",
        "tc_means_of_sums",
        "tc_spatial_sum.h",
        ("const int32_t *input", "int8_t *output"),
        (Struct("tc_mean_of_sum", {**fields, "range": range_fields(sig.output.zero_point, op.clamp)}),),
        "Averages from sums.",
        ("input", "output", str(channels)),
    )
    note = "exact" if form.multiplier == 0 else "linear, checked for all sums"
    return Kernel(
        "mean_of_sum",
        function,
        instructions=30 + channels * (20 if form.multiplier else 40),
        code_bytes=120,
        notes={"requantisation": note},
    )

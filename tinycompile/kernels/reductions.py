"""Reductions over axes that keep the type of elements."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16
from tinycompile.ir import Op, Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, range_fields, shape_stem, struct_call
from tinycompile.kernels.reduce_loops import ReduceLoops
from tinycompile.ops._reduce import Axes
from tinycompile.ops.mean import Mean
from tinycompile.ops.reduce_all import ReduceAll
from tinycompile.ops.reduce_any import ReduceAny
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.targets.core import Core

EXTREMES: Mapping[type[Op], str] = {ReduceMax: "max", ReduceAny: "max", ReduceMin: "min", ReduceAll: "min"}
"""What stays of two bytes; of bools as well."""


@kernel_for(ReduceMax, ReduceMin, ReduceAll, ReduceAny, dtype=None)
def extreme(site: Site, core: Core) -> Kernel | None:
    """`tc_reduce_extreme_s8`; None for alternations of kept and reduced axes with more loops than it has."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Axes) or sig.input.dtype not in (INT8, BOOL):
        return None
    loops = ReduceLoops.of(sig.input.shape, op.axes)
    if loops is None:
        return None
    pick, ctype = EXTREMES[type(op)], sig.input.dtype.ctype
    function = struct_call(
        shape_stem(site),
        "tc_reduce_extreme_s8",
        "tc_reduce.h",
        (f"const {ctype} *input", f"{ctype} *output"),
        (Struct("tc_reduce_loops", loops.fields),),
        f"{op.kind} over some axes, by words.",
        ("input", "output", f"tc_{pick}4", f"tc_{pick}"),
    )
    return Kernel(
        op.kind,
        function,
        instructions=_extreme_instructions(loops, core),
        code_bytes=200,
        overlap={0: loops.distance},
    )


def _extreme_instructions(loops: ReduceLoops, core: Core) -> int:
    """Two words, a word or single columns at a time; or along rows, where the reduced elements are adjacent."""
    runs, reduced = prod(size for size, _ in loops.kept), prod(size for size, _ in loops.reduced)
    pick4, pick = (3, 4) if core.has("dsp") else (17, 5)
    if loops.reduced and loops.reduced[-1][1] == 1:
        words, rest = divmod(loops.reduced[-1][0], 4)
        rows = runs * loops.inner * prod(size for size, _ in loops.reduced[:-1])
        return round(30 + rows * (12 + 2 * pick4 + words * (pick4 + 2.5) + rest * (pick + 2)))
    pairs, words, rest = loops.inner // 8, loops.inner % 8 // 4, loops.inner % 4
    per_pair, per_word, per_column = 2 * pick4 + 4, pick4 + 4, pick + 4
    work = pairs * (10 + reduced * per_pair) + words * (8 + reduced * per_word) + rest * (8 + reduced * per_column)
    return round(30 + runs * (10 + work))


@kernel_for(Mean, ReduceMax, ReduceMin, ReduceProd, ReduceSum, dtype=None)
def reduction(site: Site, core: Core) -> Kernel | None:
    """`tc_<operator>_<type>`, for types of which a word doesn't hold four elements."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Axes) or sig.input.dtype in (INT8, FLOAT32):
        return None
    if isinstance(op, Mean | ReduceProd | ReduceSum) and sig.input.dtype == INT16:  # which are rounded by scales
        return None
    loops = ReduceLoops.of(sig.input.shape, op.axes)
    if loops is None:
        return None
    dtype = sig.input.dtype
    function = struct_call(
        shape_stem(site),
        f"tc_{op.kind}_{dtype}",
        "tc_reduce.h",
        (f"const {dtype.ctype} *input", f"{dtype.ctype} *output"),
        (Struct("tc_reduce_loops", loops.fields),),
        f"{op.kind} over some axes.",
    )
    per_element = 7 if dtype.item_bytes <= 4 else 12
    return Kernel(
        f"{op.kind}_{dtype}",
        function,
        instructions=30 + sig.output.elements * 10 + sig.input.elements * per_element,
        code_bytes=150,
        overlap={0: loops.distance * dtype.item_bytes},
    )


@kernel_for(ReduceProd, dtype=None)
def product(site: Site, core: Core) -> Kernel | None:
    """`tc_reduce_prod_s8` and `_s16`; None for alternations of kept and reduced axes with more loops than it has."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, ReduceProd) or sig.input.dtype not in (INT8, INT16):
        return None
    loops = ReduceLoops.of(sig.input.shape, op.axes)
    if loops is None:
        return None
    multiplier, right = op.factor(sig)
    fields = {
        "loops": loops.fields,
        "input_zero_point": sig.input.zero_point,
        "multiplier": multiplier,
        "right": right,
        "range": range_fields(sig.output.zero_point, sig.output.dtype.range),
    }
    function = struct_call(
        shape_stem(site),
        f"tc_reduce_prod_s{sig.input.dtype.bits}",
        "tc_reduce.h",
        (f"const {sig.input.dtype.ctype} *input", f"{sig.output.dtype.ctype} *output"),
        (Struct("tc_reduce_prod_shape", fields),),
        "Product over some axes, rounded after every factor.",
    )
    return Kernel(
        "reduce_prod",
        function,
        instructions=30 + sig.output.elements * 30 + sig.input.elements * (11 if core.has("long_multiply") else 60),
        code_bytes=250,
        overlap={0: loops.distance * sig.input.dtype.item_bytes},
    )


@kernel_for(ReduceSum, dtype=INT16)
def wide_sum(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_reduce_sum`; None for alternations of kept and reduced axes with more loops than it has."""
    op, sig = site.node.op, site.sig
    loops = ReduceLoops.of(sig.input.shape, op.axes) if isinstance(op, ReduceSum) else None
    if not isinstance(op, ReduceSum) or op.runtime == "tflm" or loops is None:
        return None
    function = struct_call(
        f"wide_{shape_stem(site)}",
        "tc_wide_reduce_sum",
        "tc_reduce.h",
        ("const int16_t *input", "int16_t *output"),
        (Struct("tc_wide_sum_shape", {"loops": loops.fields, "factor": op.wide_factor(sig)}),),
        "Sum of 16-bit values over some axes.",
    )
    per_output = 25 if core.has("fpu") else 150
    return Kernel(
        "reduce_sum_wide",
        function,
        instructions=30 + sig.output.elements * per_output + sig.input.elements * 6,
        code_bytes=250,
        overlap={0: loops.distance * INT16.item_bytes},
    )

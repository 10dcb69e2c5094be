"""Along one axis: positions of the largest and smallest elements, running sums, normalisation."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, shape_stem, struct_call
from tinycompile.ops._arg_extreme import ArgExtreme
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.arg_min import ArgMin
from tinycompile.ops.cumulative_product import CumulativeProduct
from tinycompile.ops.cumulative_sum import CumulativeSum
from tinycompile.ops.l2_normalization import L2Normalization
from tinycompile.ops.local_response_normalization import LocalResponseNormalization
from tinycompile.ops.top_k import TopK
from tinycompile.targets.core import Core


def _axis(shape: tuple[int, ...], axis: int) -> Fields:
    """Members of a `tc_axis`."""
    return {"outer": prod(shape[:axis]), "size": shape[axis], "inner": prod(shape[axis + 1 :])}


@kernel_for(ArgMax, ArgMin, dtype=None)
def arg_extreme(site: Site, core: Core) -> Kernel | None:
    """`tc_arg_<max, min>_<type>_<index>`."""
    op, x, y = site.node.op, site.sig.input, site.sig.output
    if not isinstance(op, ArgExtreme):
        return None
    function = struct_call(
        shape_stem(site),
        f"tc_{op.kind}_{x.dtype}_{y.dtype}",
        "tc_search.h",
        (f"const {x.dtype.ctype} *input", f"{y.dtype.ctype} *output"),
        (Struct("tc_axis", _axis(x.shape, op.axis)),),
        f"{op.kind} along axis {op.axis}.",
    )
    slow = x.dtype.is_float and not core.has("fpu")
    return Kernel(
        op.kind,
        function,
        instructions=30 + y.elements * 12 + x.elements * (20 if slow else 7),
        code_bytes=90,
    )


MOST_UNROLLED = 32


@kernel_for(ArgMax, ArgMin, dtype=FLOAT32, needs={"fpu"})
def arg_extreme_unrolled(site: Site, core: Core) -> Kernel | None:
    """`tc_arg_<max, min>_unrolled`: the class of a classifier; None for more than one row, or a long one."""
    op, x, y = site.node.op, site.sig.input, site.sig.output
    if not isinstance(op, ArgExtreme) or y.elements > 1 or x.elements > MOST_UNROLLED:
        return None
    function = Function(
        f"{shape_stem(site)}_unrolled",
        ("const float *input", f"{y.dtype.ctype} *output"),
        f"    *output = tc_{op.kind}_unrolled(input, {x.elements});\n",
        ("kernels/tc_search.h",),
        f"{op.kind} of one row.",
    )
    return Kernel(f"{op.kind}_unrolled", function, instructions=12 + x.elements * 5, code_bytes=20 + x.elements * 18)


@kernel_for(TopK, dtype=None)
def top_k(site: Site, core: Core) -> Kernel | None:
    """`tc_top_k_<type>_<index>`: sorted insertion, which pays where few elements are wanted."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, TopK):
        return None
    rows = x.elements // x.shape[-1]
    function = struct_call(
        f"{shape_stem(site)}_{op.k}",
        f"tc_top_k_{x.dtype}_{op.index}",
        "tc_search.h",
        (f"const {x.dtype.ctype} *input", f"{x.dtype.ctype} *values", f"{op.index.ctype} *positions"),
        (Struct("tc_top_k_shape", {"rows": rows, "depth": x.shape[-1], "k": op.k}),),
        f"The {op.k} largest of each row.",
    )
    return Kernel(
        "top_k",
        function,
        instructions=30 + rows * (10 + x.shape[-1] * 14 + op.k * (10 + 4 * op.k)),
        code_bytes=150,
    )


@kernel_for(CumulativeProduct, CumulativeSum, dtype=None)
def cumulative(site: Site, core: Core) -> Kernel | None:
    """`tc_cumulative_<sum, product>_<type>`."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, CumulativeSum):
        return None
    fields = {"axis": _axis(x.shape, op.axis), "exclusive": int(op.exclusive), "reverse": int(op.reverse)}
    function = struct_call(
        shape_stem(site),
        f"tc_{op.kind}_{x.dtype}",
        "tc_search.h",
        (f"const {x.dtype.ctype} *input", f"{x.dtype.ctype} *output"),
        (Struct("tc_cumulative_sum_shape", fields),),
        f"{op.kind} along axis {op.axis}.",
    )
    slow = x.dtype.is_float and not core.has("fpu")
    return Kernel(
        op.kind,
        function,
        instructions=30 + x.elements * (60 if slow else 8),
        code_bytes=100,
        in_place=True,
    )


@kernel_for(L2Normalization)
def l2_normalization(site: Site, core: Core) -> Kernel | None:
    """`tc_l2_normalization_s8`."""
    x = site.sig.input
    root = 90 if core.has("long_multiply") else 500
    rows, depth = x.elements // x.shape[-1], x.shape[-1]
    function = struct_call(
        shape_stem(site),
        "tc_l2_normalization_s8",
        "tc_l2_normalization.h",
        ("const int8_t *input", "int8_t *output"),
        (
            Struct(
                "tc_l2_normalization_shape",
                {"rows": rows, "depth": depth, "input_zero_point": x.zero_point},
            ),
        ),
        "Rows divided by their length.",
    )
    return Kernel(
        "l2_normalization",
        function,
        instructions=30 + rows * (root + depth * (9 if core.has("dsp") else 22 if core.has("long_multiply") else 46)),
        code_bytes=350,
        in_place=True,
    )


@kernel_for(L2Normalization, dtype=FLOAT32)
def l2_normalization_float(site: Site, core: Core) -> Kernel | None:
    """`tc_float_l2_normalization`."""
    x = site.sig.input
    rows, depth = x.elements // x.shape[-1], x.shape[-1]
    function = struct_call(
        f"float_{shape_stem(site)}",
        "tc_float_l2_normalization",
        "tc_float_l2_normalization.h",
        ("const float *input", "float *output"),
        (Struct("tc_float_l2_normalization_shape", {"rows": rows, "depth": depth}),),
        "Rows divided by their length.",
    )
    per_operation = 1 if core.has("fpu") else 60
    return Kernel(
        "l2_normalization_float",
        function,
        instructions=30 + rows * (30 + 20 * per_operation + depth * (12 + 4 * per_operation)),
        code_bytes=200,
        in_place=True,
    )


@kernel_for(LocalResponseNormalization, dtype=FLOAT32)
def local_response_normalization(site: Site, core: Core) -> Kernel | None:
    """`tc_float_response`."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, LocalResponseNormalization):
        return None
    fields: Fields = {
        "rows": x.elements // x.shape[-1],
        "depth": x.shape[-1],
        "radius": min(op.radius, x.shape[-1]),
        "bias": np.float32(op.bias),
        "alpha": np.float32(op.alpha),
        "beta": np.float32(op.beta),
    }
    function = struct_call(
        shape_stem(site),
        "tc_float_response",
        "tc_float_response.h",
        ("const float *input", "float *output"),
        (Struct("tc_float_response_shape", fields),),
        "Elements divided by a power of the squares around them.",
    )
    per_operation = 1 if core.has("fpu") else 60
    near = min(2 * op.radius + 1, x.shape[-1])
    return Kernel(
        "local_response_normalization",
        function,
        instructions=30 + x.elements * (90 + 40 * per_operation + near * (5 + 2 * per_operation)),
        code_bytes=200,
    )

"""Functions of one and of two int16 values, in plain C."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_of, element_overlap, operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Fields, Struct, factor_fields, range_fields, struct_call
from tinycompile.kernels.pairs import pairs_kernel
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops import all_ops
from tinycompile.ops._extremum import Extremum
from tinycompile.ops._real_table import WideRealTable
from tinycompile.ops.abs import Abs
from tinycompile.ops.div import Div
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.neg import Neg
from tinycompile.ops.rsqrt import FRACTION_BITS, Rsqrt
from tinycompile.ops.sqrt import Sqrt
from tinycompile.targets.core import Core

_TABLES = tuple(op for op in all_ops().values() if issubclass(op, WideRealTable))


def _kernel(
    site: Site, struct: str, fields: Fields, each: int, constants: tuple[Constant, ...] = (), name: str | None = None
) -> Kernel:
    """`tc_wide_<name>` of every element, by default named as the operator; about `each` instructions."""
    kind, count = site.node.op.kind, site.sig.output.elements
    function = struct_call(
        f"wide_{kind}_{count}",
        f"tc_wide_{name or kind}",
        "tc_wide_function.h",
        ("const int16_t *input", "int16_t *output", *(f"const int16_t *{constant.suffix}" for constant in constants)),
        (Struct(struct, {"count": count, **fields}),),
        f"{kind} of 16-bit values.",
    )
    return Kernel(
        f"{kind}_wide",
        function,
        constants,
        instructions=20 + count * each,
        code_bytes=150,
        overlap={0: 0},
        notes={"reason": "16-bit activations in plain C"},
    )


@kernel_for(*_TABLES, dtype=INT16)
def table(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_function_table`."""
    op = site.node.op
    if not isinstance(op, WideRealTable):
        return None
    entries = Constant("table", "int16_t", op.wide_table(site.sig), f"{op.kind} where 512 intervals of inputs begin")
    return _kernel(site, "tc_wide_count", {}, 13, (entries,), "function_table")


@kernel_for(Neg, dtype=INT16)
def neg(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_neg`."""
    return _kernel(site, "tc_wide_count", {}, 5)


@kernel_for(Abs, dtype=INT16)
def absolute(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_abs`."""
    op = site.node.op
    rule = op.requant(site.sig) if isinstance(op, Abs) else None
    if not isinstance(rule, TfliteRequant):
        return None
    factor = factor_fields((int(rule.multiplier[0]), int(rule.shift[0])))
    return _kernel(site, "tc_wide_scaled_shape", {"factor": factor}, 11 if core.has("long_multiply") else 60)


@kernel_for(Rsqrt, dtype=INT16)
def rsqrt(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_rsqrt`."""
    op = site.node.op
    if not isinstance(op, Rsqrt):
        return None
    multiplier, shift = (int(part) for part in op.scaling(site.sig))
    factor = factor_fields((multiplier, shift - FRACTION_BITS))
    return _kernel(site, "tc_wide_scaled_shape", {"factor": factor}, 350 if core.has("long_multiply") else 1500)


@kernel_for(Sqrt, dtype=INT16)
def sqrt(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_sqrt`."""
    scales = {"input_scale": np.float32(site.sig.input.scale), "output_scale": np.float32(site.sig.output.scale)}
    return _kernel(site, "tc_wide_sqrt_shape", scales, 20 if core.has("fpu") else 500)


@kernel_for(Div, dtype=INT16)
def div(site: Site, core: Core) -> Kernel | None:
    """`tc_div_s16`."""
    op, shape = site.node.op, broadcast_of(site)
    if not isinstance(op, Div) or op.rule != "tflite" or shape is None:
        return None
    multiplier, shift = op.scaling(site.sig)
    fields = {"a_zero_point": 0, "b_zero_point": 0, "multiplier": multiplier, "shift": shift}
    function = struct_call(
        f"wide_div_{site.sig.output.elements}",
        "tc_div_s16",
        "tc_div.h",
        operand_parameters(site),
        (Struct("tc_div_form", fields | {"range": range_fields(0, op.clamp)}, "form"), shape.struct),
        "Quotients of 16-bit values.",
    )
    return Kernel(
        "div_wide",
        function,
        operand_constants(site),
        instructions=30 + shape.runs * (25 + (130 if core.has("long_multiply") else 700) * shape.run),
        code_bytes=400,
        overlap=element_overlap(site),
        notes={"reason": "16-bit activations in plain C"},
    )


@kernel_for(Maximum, Minimum, dtype=INT16)
def extremum(site: Site, core: Core) -> Kernel | None:
    """`tc_pairs_s16`."""
    op = site.node.op
    if not isinstance(op, Extremum) or op.rule != "tflite":
        return None
    return pairs_kernel(site, "tc_pairs", "tc_wide_function.h", 9)

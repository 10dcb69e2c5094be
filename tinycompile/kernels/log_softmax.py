"""The logarithm of softmax."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for, structured
from tinycompile.kernels.float_ops import IN_OUT, float_kernel, per_operation
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.numerics.fixed_point import rounding_divide_by_pot
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.targets.core import Core


@kernel_for(LogSoftmax)
def log_softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_log_softmax_s8`, with exponents and exponentials of all distances in a table."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, LogSoftmax):
        return None
    depth, parameters = sig.input.shape[-1], op.parameters(sig)
    rows, (multiplier, shift) = sig.input.elements // depth, op.reverse(sig)
    exponentials = rounding_divide_by_pot(parameters.exponentials(), 12).astype(np.int32)
    entries = structured(exponent=op.exponents(sig), exponential=exponentials)
    fields = {"rows": rows, "depth": depth, "max_distance": -parameters.diff_min}
    fields |= {"multiplier": multiplier, "shift": shift}
    function = struct_call(
        f"log_softmax_{rows}x{depth}",
        "tc_log_softmax_s8",
        "tc_log_softmax.h",
        ("const int8_t *input", "int8_t *output", "const tc_log_softmax_entry *entries"),
        (Struct("tc_log_softmax_shape", fields),),
        "The logarithm of softmax over the last axis.",
    )
    return Kernel(
        "log_softmax_table",
        function,
        (Constant("entries", "tc_log_softmax_entry", entries, "by distance to the largest element"),),
        instructions=20 + rows * (270 + 20 * depth),
        code_bytes=700,
        overlap={0: 0},
        notes={"requantisation": "tables of exponents and exponentials"},
    )


@kernel_for(LogSoftmax, dtype=FLOAT32)
def float_log_softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_float_log_softmax`."""
    sig = site.sig
    depth = sig.input.shape[-1]
    rows = sig.input.elements // depth
    function = struct_call(
        f"float_log_softmax_{rows}x{depth}",
        "tc_float_log_softmax",
        "tc_log_softmax.h",
        IN_OUT,
        (Struct("tc_float_log_softmax_shape", {"rows": rows, "depth": depth}),),
        "The logarithm of softmax over the last axis.",
    )
    return float_kernel(site, function, sig.input.elements * 20 * per_operation(core), overlap={0: 0})

"""The logarithm of softmax."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Signature, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for, structured
from tinycompile.kernels.float_ops import IN_OUT, float_kernel, per_operation
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.numerics.fixed_point import rounding_divide_by_pot
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.targets.core import Core

_LOWEST = -3 << 29
"""An exponent that gives -128 with any logarithm, and leaves int32 with none."""

_WIDE_SCALE = 30.0
"""With at most this scale all distances that the reference cuts off give -128 anyway: rounding them to whole ones moves
the limit by less than (512 - 255.5) / 16 nats.
"""


@kernel_for(LogSoftmax)
def log_softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_log_softmax_s8`, with exponents and exponentials of distances in a table."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, LogSoftmax):
        return None
    depth = sig.input.shape[-1]
    rows, (multiplier, shift) = sig.input.elements // depth, op.reverse(sig)
    entries = _entries(op, sig)
    fields = {"rows": rows, "depth": depth, "count": entries.size, "wide": int(sig.input.scale > _WIDE_SCALE)}
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
        (Constant("entries", "tc_log_softmax_entry", entries, "by distance to the largest element, farthest first"),),
        instructions=20 + rows * _row_instructions(depth, core),
        code_bytes=700,
        overlap={0: 0},
        notes={"requantisation": "tables of exponents and exponentials"},
    )


def _row_instructions(depth: int, core: Core) -> int:
    if core.has("dsp"):
        return 140 + 11 * depth
    return 270 + 18 * depth if core.has("long_multiply") else 1080 + 31 * depth


def _entries(op: LogSoftmax, sig: Signature) -> Array:
    """From the farthest distance that counts, the first one that all farther ones are equal to, to 0."""
    parameters = op.parameters(sig)
    exponentials = rounding_divide_by_pot(parameters.exponentials(), 12).astype(np.int32)
    exponents = np.where(np.arange(256) <= -parameters.diff_min, np.maximum(op.exponents(sig), _LOWEST), _LOWEST)
    count = min(1 + np.count_nonzero((exponentials > 0) | (exponents > _LOWEST)), 256)
    return structured(exponent=exponents[:count][::-1].astype(np.int32), exponential=exponentials[:count][::-1])


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

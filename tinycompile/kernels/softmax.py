"""Softmax with a table of the exponentials, or computing them where the table isn't worth its bytes."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.softmax import Softmax
from tinycompile.targets.core import Core

_SMALLEST = 1 << 11
"""A smaller exponential adds 0 to the sum, whose unit is 2^12 of them, and gives a probability of 0."""


@kernel_for(Softmax)
def softmax_table(site: Site, core: Core) -> Kernel | None:
    """`tc_softmax_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Softmax) or op.rule != "tflite":
        return None
    exponentials = op.parameters(sig).exponentials()
    exponentials = exponentials[: np.count_nonzero(exponentials >= _SMALLEST)]
    depth = sig.input.shape[-1]
    rows = sig.input.elements // depth
    function = struct_call(
        f"softmax_{rows}x{depth}",
        "tc_softmax_s8",
        "tc_softmax.h",
        ("const int8_t *input", "int8_t *output", "const int32_t *exponentials"),
        (Struct("tc_softmax_shape", {"rows": rows, "depth": depth, "exponentials": exponentials.size}),),
        "Softmax over the last axis.",
    )
    return Kernel(
        "softmax_table",
        function,
        (Constant("exponentials", "int32_t", exponentials, "exp(-d * beta * scale) * 2^31 for d = max - x"),),
        instructions=rows * (90 + 46 * depth),
        code_bytes=380,
        overlap={0: 0},
        notes={"requantisation": "table of exponentials"},
    )


@kernel_for(Softmax)
def softmax_computed(site: Site, core: Core) -> Kernel | None:
    """`tc_softmax_computed_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Softmax) or op.rule != "tflite":
        return None
    p, depth = op.parameters(sig), sig.input.shape[-1]
    rows = sig.input.elements // depth
    fields = {
        "rows": rows,
        "depth": depth,
        "multiplier": p.multiplier,
        "shift": p.shift,
        "max_distance": -p.diff_min,
    }
    function = struct_call(
        f"softmax_{rows}x{depth}",
        "tc_softmax_computed_s8",
        "tc_softmax.h",
        ("const int8_t *input", "int8_t *output"),
        (Struct("tc_softmax_computed_shape", fields),),
        "Softmax over the last axis.",
    )
    return Kernel(
        "softmax_computed",
        function,
        instructions=rows * (90 + 340 * depth),
        code_bytes=740,
        overlap={0: 0},
        notes={"requantisation": "computed exponentials"},
    )

"""Softmax with a table of the exponentials, or computing them where the table isn't worth its bytes."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.softmax import Softmax
from tinycompile.targets.core import Core

_SMALLEST = 1 << 11
"""A smaller exponential adds 0 to the sum, whose unit is 2^12 of them, and gives a probability of 0."""

WORTH_FOURS = 64
"""Elements in an inference for which code that computes four at a time is worth its bytes."""

_LEAST_SHIFT = 23
"""Of a product of an exponential and a sum's reciprocal, to a probability in 256ths."""


@kernel_for(Softmax)
def softmax_table(site: Site, core: Core) -> Kernel | None:
    """`tc_softmax_s8`, or `tc_softmax_mve_s8`, whose exponentials are gathered four at a time."""
    return table_kernel(site, core, site.sig.input.elements)


def table_kernel(site: Site, core: Core, computed: int) -> Kernel | None:
    """The same.

    Args:
        computed: elements, by all calls of the function in an inference.
    """
    op, sig = site.node.op, site.sig
    if not isinstance(op, Softmax) or op.rule != "tflite":
        return None
    exponentials = op.parameters(sig).exponentials()
    count = min(np.count_nonzero(exponentials >= _SMALLEST) + 1, 256)
    exponentials[count - 1 :] *= exponentials[count - 1] >= _SMALLEST
    if not reciprocals_may_be_even(exponentials):
        return None
    depth = sig.input.shape[-1]
    rows, fours = sig.input.elements // depth, computed >= WORTH_FOURS
    helium = core.has("mve") and fours
    function = struct_call(
        f"softmax_{rows}x{depth}",
        "tc_softmax_mve_s8" if helium else "tc_softmax_s8",
        "tc_mve_softmax.h" if helium else "tc_softmax.h",
        ("const int8_t *input", "int8_t *output", "const int32_t *exponentials"),
        (Struct("tc_softmax_shape", {"rows": rows, "depth": depth, "exponentials": count, "fours": int(fours)}),),
        "Softmax over the last axis.",
    )
    entries = (2 * exponentials[:count][::-1].astype(np.int64) - 2**31).astype(np.int32)
    return Kernel(
        "softmax_mve" if helium else "softmax_table",
        function,
        (Constant("exponentials", "int32_t", entries, "exp(-d * beta * scale) * 2^32 - 2^31 for d = max - x"),),
        instructions=rows * _row_instructions(depth, core, fours=fours),
        code_bytes=750 if fours else 300,
        overlap={0: 0},
        notes={"requantisation": "table of exponentials"},
        bytewise=not helium,
    )


def _row_instructions(depth: int, core: Core, *, fours: bool) -> int:
    if core.has("mve") and fours:
        return 75 + round(4.6 * depth)
    if core.has("dsp"):
        return 42 + round(11.4 * depth) if fours else 70 + 21 * depth
    return 80 + (21 if fours else 30) * depth if core.has("long_multiply") else 200 + 56 * depth


def reciprocals_may_be_even(exponentials: Array) -> bool:
    """Whether a sum's reciprocal may be 2^31 - 2 where it is 2^31 - 1, the only odd one that there is.

    Either makes e, e - 1 or e - 2 of an exponential e above 2^29, and e of a smaller one; a probability tells those
    apart only at odd multiples of 2^(shift - 1).
    """
    return bool(np.all(exponentials[exponentials > 1 << 29] & ((1 << (_LEAST_SHIFT - 1)) - 1) > 1))


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

"""Delay lines: rows that move on in their own memory."""

from __future__ import annotations

from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.movement import copy_instructions
from tinycompile.ops.delay_line import DelayLine
from tinycompile.targets.core import Core


@kernel_for(DelayLine, dtype=None)
def delay_line(site: Site, core: Core) -> Kernel | None:
    """`tc_delay_line`; the result may be where the line is."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DelayLine) or any(value is not None for value in site.constants):
        return None
    outer = prod(sig.output.shape[: op.axis])
    size, there = (t.bytes // outer for t in sig.inputs)
    row = size // sig.input.shape[op.axis]
    new = op.count * row
    fields = {"lines": outer, "bytes": size, "rows_bytes": there, "begin": op.begin * row, "new_bytes": new}
    ctype = sig.output.dtype.ctype
    function = struct_call(
        f"delay_line_{'x'.join(map(str, sig.output.shape))}",
        "tc_delay_line",
        "tc_delay_line.h",
        (f"const {ctype} *line", f"const {ctype} *rows", f"{ctype} *output"),
        (Struct("tc_delay_line_shape", fields),),
        "Rows move on, new ones follow.",
    )
    return Kernel(
        "delay_line",
        function,
        instructions=20 + outer * (8 + copy_instructions(size - new) + copy_instructions(new)),
        code_bytes=100,
        overlap={0: 0},
    )

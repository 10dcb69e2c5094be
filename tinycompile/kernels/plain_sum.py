"""ADD and SUB element by element, for cores without SIMD that have registers for it (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, structured
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.elementwise import SUM_IN_WORDS
from tinycompile.kernels.integer_forms import narrow_sum_form
from tinycompile.ops._sum import Sum
from tinycompile.ops.add import Add
from tinycompile.ops.sub import Sub
from tinycompile.targets.core import Core


@kernel_for(Add, Sub, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def plain_sum(site: Site, core: Core) -> Kernel | None:
    """Operands of the same shape, whose sum is linear in 32 bits."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Sum) or sig.inputs[0].shape != sig.inputs[1].shape:
        return None
    form = narrow_sum_form(op, sig)
    if form is None:
        return None
    count, (low, high) = sig.output.elements, op.clamp
    numbers = {"first": form.first, "second": form.second, "start": form.start, "shift": form.shift}
    fields = {"count": count, **numbers, "low": low, "high": high}
    function = Function(
        f"{op.kind}_plain",
        (*operand_parameters(site), "const tc_sum_plain_form *form"),
        "    tc_sum_plain_s8(a, b, output, form);\n",
        ("kernels/tc_sum_plain.h",),
        f"{op.kind} of two tensors of the same shape.",
    )
    table = structured(**{field: np.array([value], np.int32) for field, value in fields.items()})
    return Kernel(
        f"{op.kind}_plain",
        function,
        (*operand_constants(site), Constant("form", "tc_sum_plain_form", table, "see tc_sum_plain.h")),
        instructions=30 + count // 4 * 50 + count % 4 * 14,
        code_bytes=250,
        overlap={index: 0 for index, _ in site.dynamic_inputs()},
        notes={"requantisation": SUM_IN_WORDS},
    )

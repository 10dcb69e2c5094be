"""Sums of two tensors by Helium, as behind layers (`tc_mve_after.h`)."""

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


@kernel_for(Add, Sub, needs={"mve"})
def add(site: Site, core: Core) -> Kernel | None:
    """Of the same shape, 8 elements at a time."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Sum) or sig.inputs[0].shape != sig.inputs[1].shape:
        return None
    form, count = narrow_sum_form(op, sig), sig.output.elements
    if form is None:
        return None
    fields = {"count": count, "first": form.first, "second": form.second, "start": form.start, "shift": form.shift}
    fields |= {"low": op.clamp[0], "high": op.clamp[1]}
    numbers = structured(**{name: np.array([value], np.int32) for name, value in fields.items()})
    function = Function(
        f"{op.kind}_mve",
        (*operand_parameters(site), "const tc_mve_sum_form *form"),
        "    tc_mve_sum_s8(a, b, output, form);\n",
        ("kernels/tc_mve_after.h",),
        f"{op.kind} of two tensors of the same shape, 8 elements at a time.",
    )
    return Kernel(
        f"{op.kind}_mve",
        function,
        (*operand_constants(site), Constant("form", "tc_mve_sum_form", numbers, "see tc_mve_after.h")),
        instructions=40 + 19 * (count // 8) + 22 * (count % 8 > 0),
        code_bytes=220,
        overlap={index: 0 for index, _ in site.dynamic_inputs()},
        notes={"requantisation": SUM_IN_WORDS},
    )

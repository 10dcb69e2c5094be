"""ADD and SUB of int8 tensors of the same shape whose sum is linear in 32 bits (`tc_narrow_sum.h`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Function, Kernel, structured
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.elementwise import SUM_IN_WORDS
from tinycompile.kernels.integer_forms import narrow_sum_form
from tinycompile.ops._sum import Sum


def sum_kernel(
    site: Site,
    way: str,
    callee: str,
    header: str,
    instructions: Callable[[int], int],
    code_bytes: int,
    comment: str = "",
) -> Kernel | None:
    """Any such sum by one function in C, which takes (a, b, output, form); None for others.

    Args:
        way: what ends the kernel's name. callee, header: the function and where it is.
        instructions: for so many elements.
        comment: what is said of it beside what it computes.
    """
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
        f"{op.kind}_{way}",
        (*operand_parameters(site), "const tc_narrow_sum *form"),
        f"    {callee}(a, b, output, form);\n",
        (f"kernels/{header}",),
        f"{op.kind} of two tensors of the same shape{comment}.",
    )
    return Kernel(
        f"{op.kind}_{way}",
        function,
        (*operand_constants(site), Constant("form", "tc_narrow_sum", numbers, "see tc_narrow_sum.h")),
        instructions=instructions(count),
        code_bytes=code_bytes,
        overlap={index: 0 for index, _ in site.dynamic_inputs()},
        notes={"requantisation": SUM_IN_WORDS},
    )

"""Gradients of functions of single values, by tables of their slopes, in portable C."""

from __future__ import annotations

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.training_layers import PORTABLE, on
from tinycompile.ops._training.function_gradient import FunctionGradient
from tinycompile.targets.core import Core


@kernel_for(FunctionGradient, dtype=None)
def function_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_function_gradient`."""
    op, count, slopes = site.node.op, site.sig.input.elements, site.constants[3]
    if not isinstance(op, FunctionGradient) or slopes is None:
        return None
    return Kernel(
        "function_gradient_portable",
        struct_call(
            f"function_gradient_{count}",
            "tc_function_gradient",
            "tc_function_gradient.h",
            (
                "const int16_t *gradient",
                "const int32_t *exponent",
                "const int8_t *input",
                "int16_t *output",
                "int32_t *output_exponent",
                "const int16_t *slopes",
            ),
            (Struct("tc_function_shape", {"count": count, "exponent_change": op.slope_exponent}),),
            "Times the slope that a function has at each value.",
        ),
        (Constant("slopes", "int16_t", slopes, "slope at each value, by its bits"),),
        instructions=on(core, count * 22),
        code_bytes=160,
        overlap={0: 0},
        notes=PORTABLE,
    )

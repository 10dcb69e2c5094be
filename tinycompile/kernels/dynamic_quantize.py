"""Quantisation of a tensor by its own range."""

from __future__ import annotations

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, shape_stem, struct_call
from tinycompile.ops.dynamic_quantize import DynamicQuantize
from tinycompile.targets.core import Core


@kernel_for(DynamicQuantize, dtype=FLOAT32)
def dynamic_quantize(site: Site, core: Core) -> Kernel:
    """`tc_dynamic_quantize`."""
    count = site.sig.input.elements
    return Kernel(
        "dynamic_quantize",
        struct_call(
            shape_stem(site),
            "tc_dynamic_quantize",
            "tc_dynamic_quantize.h",
            ("const float *input", "int8_t *output", "float *scale", "int8_t *zero_point"),
            (Struct("tc_dynamic_quantize_shape", {"count": count}),),
            "A tensor quantised by its own range.",
        ),
        instructions=100 + count * (19 if core.has("fpu") else 150),
        code_bytes=250,
        overlap={0: 0},
        notes={"reason": "the scale is known when the model runs"},
    )

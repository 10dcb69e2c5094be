"""Between float and 8-bit tensors, at the edges of a model; between 8-bit tensors see `elementwise`."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.targets.core import Core

_SUFFIX = {INT8: "s8", INT16: "s16", UINT8: "u8"}
"""The end of a function's name."""


@kernel_for(Quantize, dtype=FLOAT32)
def quantize(site: Site, core: Core) -> Kernel | None:
    """`tc_quantize_s8` or `_u8`, of a float input."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Quantize):
        return None
    low, high = op.range
    count = sig.output.elements
    fields = {"count": count, "scale": np.float32(sig.output.scale), "zero_point": sig.output.zero_point}
    fields |= {"low": low, "high": high, "ties_even": int(op.ties == "even")}
    function = struct_call(
        f"quantize_{count}",
        f"tc_quantize_{_SUFFIX[op.dtype]}",
        "tc_quantize.h",
        ("const float *input", f"{op.dtype.ctype} *output"),
        (Struct("tc_quantize_shape", fields),),
        "float32 to 8 bits.",
    )
    per_element = 20 if core.has("fpu") else 600
    return Kernel(
        "quantize", function, instructions=20 + per_element * count, code_bytes=120, overlap={0: 0}, notes=_NOTES
    )


@kernel_for(Dequantize, dtype=None)
def dequantize(site: Site, core: Core) -> Kernel | None:
    """`tc_dequantize_s8` or `_u8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Dequantize):
        return None
    count, dtype = sig.input.elements, sig.input.dtype
    fields = {"count": count, "scale": np.float32(sig.input.scale), "zero_point": sig.input.zero_point}
    function = struct_call(
        f"dequantize_{count}",
        f"tc_dequantize_{_SUFFIX[dtype]}",
        "tc_quantize.h",
        (f"const {dtype.ctype} *input", "float *output"),
        (Struct("tc_dequantize_shape", fields),),
        "8 bits to float32.",
    )
    # Element i, 4 bytes, is written when i + 1 is the next input element to read.
    distance = max(0, (4 - dtype.item_bytes) * (count - 1))
    per_element = 7 if core.has("fpu") else 200
    return Kernel(
        "dequantize",
        function,
        instructions=20 + per_element * count,
        code_bytes=60,
        overlap={0: distance},
        notes=_NOTES,
    )


_NOTES = {"requantisation": "float32, rounded once"}

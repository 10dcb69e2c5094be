"""Between float and 8-bit tensors, at the edges of a model; between 8-bit tensors see `elementwise`."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_thresholds import float_thresholds
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.targets.core import Core

_SUFFIX = {INT8: "s8", INT16: "s16", UINT8: "u8"}
"""The end of a function's name."""


def _quotient_instructions(core: Core) -> int:
    """Of an element, as counted; without an FPU by the C library's division."""
    if core.has("fpu"):
        return 8 if core.has("dsp") else 20
    return 180 if core.has("long_multiply") else 430


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
    return Kernel(
        "quantize",
        function,
        instructions=20 + _quotient_instructions(core) * count,
        code_bytes=600 if core.has("fpu") and core.has("dsp") else 200,  # eight at a time
        overlap={0: 0},
        notes=_NOTES,
    )


@kernel_for(Quantize, dtype=FLOAT32, unless={"fpu"})
def quantize_search(site: Site, core: Core) -> Kernel | None:
    """`tc_quantize_search`, to 8 bits, where its table isn't larger than the input."""
    op, sig = site.node.op, site.sig
    count = sig.output.elements
    if not isinstance(op, Quantize) or op.dtype.item_bytes > 1 or count < _BYTES.size:
        return None
    thresholds = float_thresholds(op, sig)
    fields = {"count": count, "first": thresholds.first, "last": thresholds.last}
    fields |= {"low": op.range[0], "other": thresholds.other}
    function = struct_call(
        f"quantize_{count}",
        "tc_quantize_search",
        "tc_quantize.h",
        ("const float *input", f"{op.dtype.ctype} *output", "const int32_t *thresholds"),
        (Struct("tc_quantize_search_shape", fields),),
        "float32 to 8 bits, by a search among thresholds.",
    )
    return Kernel(
        "quantize_search",
        function,
        (
            Constant(
                "thresholds", "int32_t", thresholds.orders, "the least number of each step, as its bits are ordered"
            ),
        ),
        instructions=20 + (45 if core.has("long_multiply") else 60) * count,
        code_bytes=200,
        overlap={0: 0},
        notes=_NOTES,
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
    per_element = 7 if core.has("fpu") else 80 if core.has("long_multiply") else 140
    return Kernel(
        "dequantize",
        function,
        instructions=20 + per_element * count,
        code_bytes=60,
        overlap={0: distance},
        notes=_NOTES,
    )


@kernel_for(Dequantize, dtype=None)
def dequantize_table(site: Site, core: Core) -> Kernel | None:
    """`tc_dequantize_table`, where the table isn't larger than what is made of it."""
    op, sig = site.node.op, site.sig
    count, dtype = sig.input.elements, sig.input.dtype
    if dtype.item_bytes > 1 or count < _BYTES.size:
        return None
    (numbers,) = op.evaluate(sig, [_BYTES.view(np.dtype(str(dtype)))])
    function = struct_call(
        f"dequantize_{count}",
        "tc_dequantize_table",
        "tc_quantize.h",
        (f"const {dtype.ctype} *input", "float *output", "const float *numbers"),
        (Struct("tc_dequantize_count", {"count": count}),),
        "8 bits to float32, by a table.",
    )
    # Four elements, 16 bytes, are written when the fifth is the next one to read.
    distance = max(0, (count - 1) * 3)
    return Kernel(
        "dequantize_table",
        function,
        (Constant("numbers", "float", numbers, "of each byte"),),
        instructions=20 + count * 15 // 4,
        code_bytes=60,
        overlap={0: distance},
        notes=_NOTES,
    )


_BYTES = np.arange(256, dtype=np.uint8)
_NOTES = {"requantisation": "float32, rounded once"}

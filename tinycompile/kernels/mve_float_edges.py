"""Between float and 8-bit tensors by Helium: exact quotients without a division (`tc_mve_quantize.h`)."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, UINT8, DType
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.targets.core import Core

_SUFFIX = {INT8: "s8", UINT8: "u8"}
"""The end of a function's name."""

_QUOTIENT_BEYOND = 1024
"""Quotients of this size give an end of every 8-bit range, whatever the zero point."""

SCALES = (2.0**-60, 2.0**60)
"""Within them nothing that matters is subnormal or infinite, which vectors would take for 0 or round twice."""

_NOTES = {"rounding": "as the source rounds"}


@kernel_for(Quantize, dtype=FLOAT32, needs={"mve", "fpu"})
def quantize(site: Site, core: Core) -> Kernel | None:
    """`tc_mve_quantize_s8` or `_u8`, of at least 8 floats."""
    op, sig = site.node.op, site.sig
    count, scale = sig.output.elements, np.float32(sig.output.scale)
    if not isinstance(op, Quantize) or op.dtype not in _SUFFIX or count < 8 or not _usual(scale):
        return None
    zero_point, (low, high) = sig.output.zero_point, op.range
    plain = {"count": count, "scale": scale, "zero_point": zero_point, "low": low, "high": high}
    plain["ties_even"] = int(op.ties == "even")
    reciprocal = np.float32(1 / scale)
    rest = np.float32(1 / np.float64(scale) - np.float64(reciprocal))
    # INT32_MIN and the zero point wrap to a large number if that is negative.
    upwards = op.ties == "away" and zero_point < 0
    sign = np.float32(1 if upwards else -1)
    beyond = -_first_without_int32(scale, zero_point) if upwards else _first_without_int32(scale, zero_point)
    fields = {"plain": plain, "reciprocal": reciprocal, "rest": rest, "beyond": beyond}
    fields["replaced"] = sign * np.float32(_QUOTIENT_BEYOND) * scale
    function = struct_call(
        f"quantize_mve_{count}",
        f"tc_mve_quantize_{_SUFFIX[op.dtype]}",
        "tc_mve_quantize.h",
        ("const float *input", f"{op.dtype.ctype} *output"),
        (Struct("tc_mve_quantize_shape", fields),),
        "float32 to 8 bits, 8 at a time.",
    )
    instructions = 40 + (27 if op.ties == "away" else 25) * (count // 8) + 17 * (count % 8)
    return Kernel("quantize_mve", function, instructions=instructions, code_bytes=220, overlap={0: 0}, notes=_NOTES)


def _usual(scale: np.float32) -> bool:
    return SCALES[0] <= float(scale) <= SCALES[1]


def _first_without_int32(scale: np.float32, zero_point: int) -> np.float32:
    """The least float whose quotient, with the zero point, is 2^31 or more."""
    # Below 2^31 floats are 128 apart.
    quotient = np.float32(2.0**31 if zero_point < 128 else 2.0**31 - 128)
    found = np.float32(quotient * scale)
    while found / scale >= quotient:
        found = np.nextafter(found, np.float32(0))
    while found / scale < quotient:
        found = np.nextafter(found, np.float32(np.inf))
    return found


@kernel_for(Dequantize, dtype=None, needs={"mve", "fpu"})
def dequantize(site: Site, core: Core) -> Kernel | None:
    """`tc_mve_dequantize_s8` or `_u8`, of at least 4 elements."""
    op, sig = site.node.op, site.sig
    count, dtype = sig.input.elements, sig.input.dtype
    if not isinstance(op, Dequantize) or not _fits(dtype) or count < 4 or not _usual(np.float32(sig.input.scale)):
        return None
    fields = {"count": count, "scale": np.float32(sig.input.scale), "zero_point": sig.input.zero_point}
    function = struct_call(
        f"dequantize_mve_{count}",
        f"tc_mve_dequantize_{_SUFFIX[dtype]}",
        "tc_mve_quantize.h",
        (f"const {dtype.ctype} *input", "float *output"),
        (Struct("tc_dequantize_shape", fields),),
        "8 bits to float32, 4 at a time.",
    )
    return Kernel(
        "dequantize_mve",
        function,
        instructions=30 + 6 * (count // 4) + 7 * (count % 4),
        code_bytes=100,
        # As element by element: 4 bytes, written when the next input element is to be read.
        overlap={0: 3 * (count - 1)},
        notes=_NOTES,
    )


def _fits(dtype: DType) -> bool:
    return dtype in _SUFFIX

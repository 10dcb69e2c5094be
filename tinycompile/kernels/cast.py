"""Conversion to another element type."""

from __future__ import annotations

from tinycompile.dtypes import BOOL, FLOAT32, FLOAT64, INT64, UINT32, UINT64, DType
from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Kernel, kernel_for
from tinycompile.ops.cast import Cast
from tinycompile.targets.core import Core


@kernel_for(Cast, dtype=None)
def same_bits(site: Site, core: Core) -> Kernel | None:
    """No code between types of one size whose conversion keeps the bits."""
    x, y = site.sig.input.dtype, site.sig.output.dtype
    kept = x == y or (x.bits == y.bits and not x.is_float and y.is_integer)
    return Kernel("cast_view", None, alias_of=0) if kept else None


@kernel_for(Cast, dtype=None)
def cast(site: Site, core: Core) -> Kernel | None:
    """Element by element; None for types that C has no exact word for."""
    x, y = site.sig.input, site.sig.output
    converted = _converted(x.dtype, y.dtype)
    if converted is None:
        return None
    body = (
        f"    for (int32_t i = 0; i < {y.elements}; ++i) {{\n"
        f"        const {x.dtype.ctype} value = input[i];\n"
        f"        output[i] = {converted};\n"
        "    }\n"
    )
    function = Function(
        f"cast_{x.dtype}_{y.dtype}_{y.elements}",
        (f"const {x.dtype.ctype} *input", f"{y.dtype.ctype} *output"),
        body,
        ("kernels/tc_cast.h",),
        f"{x.dtype} as {y.dtype}.",
    )
    # Bytes may alias any other type; of two wider ones the compiler knows that they share no memory.
    bytes_ = 8 in (x.dtype.bits, y.dtype.bits)
    growth = max(0, y.bytes - x.bytes)
    return Kernel(
        "cast",
        function,
        instructions=15 + _instructions(x.dtype, y.dtype, core) * y.elements,
        code_bytes=60,
        overlap={0: growth} if bytes_ else {},
    )


def _converted(x: DType, y: DType) -> str | None:
    """`value` as the other type, in C."""
    if not {x, y}.isdisjoint((FLOAT64,)) or (x.is_float and x != FLOAT32) or (y.is_float and y != FLOAT32):
        return None
    if y == BOOL:
        return f"value != {'0.0f' if x.is_float else '0'}"
    if x == FLOAT32 and y.is_integer:
        return f"({y.ctype}){_saturated(y)}"
    return f"({y.ctype})value"


def _saturated(y: DType) -> str:
    if y in (INT64, UINT32, UINT64):
        return f"tc_float_to_{y}(value)"
    low, high = y.range
    least = "INT32_MIN" if low == -(1 << 31) else str(low)
    return f"tc_float_to_int(value, {least}, {high})"


def _instructions(x: DType, y: DType, core: Core) -> int:
    """Of one element: the FPU converts in one, saturation compares twice; without it each is a call."""
    if not (x.is_float or y.is_float):
        return 7 if y == BOOL else 5
    if not core.has("fpu"):
        return 60
    return 60 if 64 in (x.bits, y.bits) else 12 if x.is_float else 6

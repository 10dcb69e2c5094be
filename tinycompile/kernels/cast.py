"""Conversion to another element type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinycompile.dtypes import BFLOAT16, BOOL, FLOAT32, FLOAT64, INT64, SMALL_FLOATS, UINT32, UINT64, DType
from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Kernel, kernel_for
from tinycompile.ops.bit_cast import BitCast
from tinycompile.ops.cast import Cast
from tinycompile.targets.core import Core


@dataclass(frozen=True)
class _Format:
    """The fields of a `tc_small_float`."""

    mantissa: int
    bias: int
    largest: int
    infinity: int
    nan: int


_FORMATS: Mapping[str, _Format] = {
    "float16": _Format(10, 15, 0x7BFF, 0x7C00, 0x7E00),
    "float8_e4m3fn": _Format(3, 7, 0x7E, 0, 0x7F),
    "float8_e4m3fnuz": _Format(3, 8, 0x7F, 0, 0x80),
    "float8_e5m2": _Format(2, 15, 0x7B, 0x7C, 0x7E),
    "float8_e5m2fnuz": _Format(2, 16, 0x7F, 0, 0x80),
    "float4_e2m1fn": _Format(1, 1, 0x7, 0, 0),
}
_ROUNDINGS = {"up": 1, "nearest": 0, "down": -1}


@kernel_for(BitCast, dtype=None)
def bit_cast(site: Site, core: Core) -> Kernel:
    """No code: the buffer is read as another type."""
    return Kernel("bit_cast_view", None, alias_of=0)


@kernel_for(Cast, dtype=None)
def same_bits(site: Site, core: Core) -> Kernel | None:
    """No code between types of one size whose conversion keeps the bits."""
    x, y = site.sig.input.dtype, site.sig.output.dtype
    kept = x == y or (x.bits == y.bits and not x.is_float and y.is_integer)
    return Kernel("cast_view", None, alias_of=0) if kept else None


@kernel_for(Cast, dtype=None)
def cast(site: Site, core: Core) -> Kernel | None:
    """Element by element."""
    op, x, y = site.node.op, site.sig.input, site.sig.output
    if not isinstance(op, Cast):
        return None
    formats = [t for t in dict.fromkeys((x.dtype, y.dtype)) if t.name in _FORMATS]
    body = (
        "".join(f"    {_format(t)}\n" for t in formats)
        + f"    for (int32_t i = 0; i < {y.elements}; ++i) {{\n"
        + f"        const {_value_type(x.dtype)} value = {_read(x.dtype)};\n"
        + f"        {_written(y.dtype, _converted(op, x.dtype))}\n"
        + "    }\n"
    )
    stored = any(t.is_float and t not in (FLOAT32, FLOAT64) for t in (x.dtype, y.dtype))
    function = Function(
        f"cast_{x.dtype}_{y.dtype}_{y.elements}",
        (f"const {x.dtype.ctype} *input", f"{y.dtype.ctype} *output"),
        body,
        ("kernels/tc_cast.h", *(["kernels/tc_small_float.h"] if stored else [])),
        f"{x.dtype} as {y.dtype}.",
    )
    # Bytes may alias any other type; of two wider ones the compiler knows that they share no memory.
    bytes_ = 8 in (x.dtype.bits, y.dtype.bits) and not (x.dtype.is_sub_byte or y.dtype.is_sub_byte)
    growth = max(0, y.bytes - x.bytes)
    return Kernel(
        "cast",
        function,
        instructions=15 + _instructions(x.dtype, y.dtype, core) * y.elements,
        code_bytes=60,
        overlap={0: growth} if bytes_ else {},
    )


def _format(t: DType) -> str:
    """The declaration of what a float of few bits is."""
    found = _FORMATS[t.name]
    codes = (1 << t.bits - 1, found.largest, found.infinity, found.nan)
    values = ", ".join((str(found.mantissa), str(found.bias), *(f"0x{code:X}u" for code in codes)))
    return f"static const tc_small_float {t} = {{{values}}};"


def _value_type(x: DType) -> str:
    """Of an element as it is computed with."""
    if x.is_float:
        return "float"
    return ("int8_t" if x.is_signed else "uint8_t") if x.is_sub_byte else x.ctype


def _read(x: DType) -> str:
    """Element i of the input."""
    word = "input[i]"
    if x.is_sub_byte:
        share, mask = 8 // x.bits, (1 << x.bits) - 1
        word = f"((uint32_t)input[i / {share}] >> (i % {share} * {x.bits}) & {mask}u)"
        if not x.is_float:
            half = 1 << x.bits - 1
            return f"(int8_t)((int32_t)({word} ^ {half}u) - {half})" if x.is_signed else f"(uint8_t){word}"
    if x.name in _FORMATS:
        return f"tc_small_to_float({word}, &{x})"
    if x == BFLOAT16:
        return f"tc_bfloat16_to_float({word})"
    if x in SMALL_FLOATS:
        return f"tc_e8m0_to_float({word})"
    return f"(float){word}" if x == FLOAT64 else word


def _converted(op: Cast, x: DType) -> str:
    """`value` as the other type, in C; of floats of few bits the code."""
    y = op.dtype
    if y == BOOL:
        return f"value != {'0.0f' if x.is_float else '0'}"
    if x.is_float and y.is_integer:
        return f"({'int8_t' if y.is_sub_byte and y.is_signed else y.ctype}){_saturated(y)}"
    if not y.is_float or y in (FLOAT32, FLOAT64):
        number = "(float)value" if y == FLOAT64 and not x.is_float else "value"
        return f"({y.ctype}){number}"
    number = "value" if x.is_float else "(float)value"
    if y.name in _FORMATS:
        saturate = int(y.bits == 4 or (y.bits == 8 and op.saturate))
        return f"({y.ctype})tc_float_to_small({number}, &{y}, {saturate})"
    if y == BFLOAT16:
        return f"tc_float_to_bfloat16({number})"
    return f"tc_float_to_e8m0({number}, {_ROUNDINGS[op.rounding]}, {int(op.saturate)})"


def _written(y: DType, converted: str) -> str:
    """The statement that stores element i."""
    if not y.is_sub_byte:
        return f"output[i] = {converted};"
    share, mask = 8 // y.bits, (1 << y.bits) - 1
    field = f"((uint32_t)({converted}) & {mask}u) << (i % {share} * {y.bits})"
    return f"output[i / {share}] = (uint8_t)((i % {share} == 0 ? 0u : output[i / {share}]) | {field});"


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

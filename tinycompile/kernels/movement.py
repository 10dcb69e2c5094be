"""Operators that move data without computing: reshape, concatenation, padding, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.generic_overlap import gathered_distance
from tinycompile.kernels.render import Later
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.identity import Identity
from tinycompile.ops.pad import Pad
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.targets.core import Core

PAD_AXES = 7
"""TC_PAD_AXES: around the innermost one."""


@kernel_for(Reshape, dtype=None)
def reshape(site: Site, core: Core) -> Kernel | None:
    """The same memory."""
    return Kernel("reshape", None, alias_of=0)


@kernel_for(Identity, dtype=None)
def identity(site: Site, core: Core) -> Kernel | None:
    """A copy, of a constant out of flash."""
    size, constant, dtype = site.sig.output.bytes, site.constants[0], site.sig.output.dtype
    body = f"    tc_copy_down((int8_t *)output, (const int8_t *)input, {size});"
    parameters = ("const void *input", "void *output")
    return Kernel(
        "copy",
        Function(
            f"copy_{size}",
            parameters if constant is None else parameters[::-1],
            body,
            ("kernels/tc_copy.h",),
            "An output that has memory of its own.",
        ),
        () if constant is None else (Constant("value", "int8_t", _bytes_of(constant, dtype), str(site.sig.output)),),
        instructions=10 + copy_instructions(size),
        code_bytes=80,
        overlap={0: 0} if constant is None else {},
    )


def _bytes_of(values: Array, dtype: DType) -> Array:
    """One byte where there is no value: C has no array without elements."""
    return dtype.pack(values).view(np.int8) if values.size else np.zeros(1, np.int8)


@kernel_for(Concatenation, dtype=None)
def concatenation(site: Site, core: Core) -> Kernel | None:
    """Copies in turn what each operand has of the concatenated axis and those inside it."""
    return _concatenation(site, "concatenation", {})


def _concatenation(site: Site, variant: str, parts: dict[int, int]) -> Kernel | None:
    """Args:
    parts: places of the operands that are there already, by index.
    """
    op, sig = site.node.op, site.sig
    if not isinstance(op, Concatenation):
        return None
    outer = prod(sig.output.shape[: op.axis])
    sizes = [t.bytes // outer for t in sig.inputs]
    pieces = [
        {"name": f"input_{index}", "bytes": size, "copied": index not in parts} for index, size in enumerate(sizes)
    ]
    constant = [index for index, value in enumerate(site.constants) if value is not None]
    dynamic = [index for index, value in enumerate(site.constants) if value is None]
    copied = [size for index, size in enumerate(sizes) if index not in parts]
    function = Function(
        f"{variant}_{sig.output.bytes}",
        (
            *(f"const void *input_{index}" for index in dynamic),
            "void *output",
            *(f"const void *input_{index}" for index in constant),
        ),
        Later("kernels/concatenation.c.j2", outer=outer, parts=[piece for piece in pieces if piece["bytes"]]),
        ("kernels/tc_copy.h",),
        "The operands side by side." + (" Those that aren't copied are there already." if parts else ""),
    )
    return Kernel(
        variant,
        function,
        tuple(
            Constant(
                f"operand_{index}", "int8_t", _bytes_of(site.constant(index), sig.output.dtype), f"operand {index}"
            )
            for index in constant
        ),
        instructions=20 + outer * (4 + sum(map(copy_instructions, copied))),
        code_bytes=40 + 24 * len(copied),
        overlap={} if parts else {index: _concatenation_distance(outer, sizes, index) for index in dynamic},
        parts=parts,
    )


def _places(site: Site) -> dict[int, int]:
    """Where the operands lie in the result, in bytes; none where they don't lie there as they are."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Concatenation) or prod(sig.output.shape[: op.axis]) != 1:
        return {}
    ends = np.cumsum([t.bytes for t in sig.inputs]).tolist()
    return dict(enumerate([0, *ends[:-1]]))


@kernel_for(Concatenation, dtype=None)
def concatenation_in_place(site: Site, core: Core) -> Kernel | None:
    """No code, along the outermost axis that isn't 1: the operands are computed where the result wants them."""
    places = _places(site)
    if not places or any(value is not None for value in site.constants):
        return None
    return Kernel("concatenation_in_place", None, parts=places)


@kernel_for(Concatenation, dtype=None)
def concatenation_into_first(site: Site, core: Core) -> Kernel | None:
    """The first operand is computed where the result wants it, the others are copied."""
    return _into(site, "concatenation_into_first", 0)


@kernel_for(Concatenation, dtype=None)
def concatenation_into_last(site: Site, core: Core) -> Kernel | None:
    """The last operand is computed where the result wants it, the others are copied."""
    return _into(site, "concatenation_into_last", len(site.sig.inputs) - 1)


def _into(site: Site, variant: str, operand: int) -> Kernel | None:
    places = _places(site)
    if len(places) < 2 or site.constants[operand] is not None:
        return None
    return _concatenation(site, variant, {operand: places[operand]})


def _concatenation_distance(outer: int, sizes: Sequence[int], operand: int) -> int:
    """Parts are copied upwards in memory: when a part's turn comes, its source must not lie below its target."""
    turns = np.arange(outer)
    targets = turns * sum(sizes) + sum(sizes[:operand])
    return safe_distance(zip((turns * sizes[operand]).tolist(), targets.tolist(), strict=True))


@kernel_for(Pad, dtype=None)
def pad(site: Site, core: Core) -> Kernel | None:
    """`tc_pad`; None if more than eight axes are padded one by one."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Pad):
        return None
    axes = pad_axes(sig.input.shape, op.amounts)
    if len(axes) > PAD_AXES + 1:
        return None
    *outer, innermost = axes
    item, dtype = sig.input.dtype.item_bytes, sig.input.dtype
    row, row_before, row_after = (size * item for size in innermost)
    sizes, before, after = zip(*([(1, 0, 0)] * (PAD_AXES - len(outer)) + outer), strict=True)
    fields = {"size": sizes, "before": before, "after": after, "row": row, "row_before": row_before}
    bits = dtype.pack(np.array(op.value).astype(dtype.carrier))
    alike, words = bool(np.all(bits == bits[0])), np.resize(bits, 8).view("<u4").tolist()
    fields |= {"row_after": row_after, "item": item, "bytes_alike": int(alike), "value": words}
    function = struct_call(
        f"pad_{'x'.join(map(str, sig.output.shape))}",
        "tc_pad",
        "tc_copy.h",
        (f"const {dtype.ctype} *input", f"{dtype.ctype} *output"),
        (Struct("tc_pad_shape", fields),),
        "A border around the input.",
    )
    rows = sig.output.bytes // (row + row_before + row_after)
    borders = sum(_fill_instructions(n) if alike else n // item * 4 for n in (row_before, row_after))
    per_row = 35 + copy_instructions(row) + borders
    return Kernel(
        "pad",
        function,
        instructions=20 + rows * per_row,
        code_bytes=300,
        overlap={0: _pad_distance(outer, row, row_before, row + row_before + row_after)},
    )


def pad_axes(shape: Sequence[int], amounts: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(size, before, after) per axis, outermost first; an axis without padding is one with the axis around it."""
    axes = list[tuple[int, int, int]]()
    for size, (before, after) in zip(shape, amounts, strict=True):
        if axes and (before, after) == (0, 0):
            outer, outer_before, outer_after = axes[-1]
            axes[-1] = (size * outer, size * outer_before, size * outer_after)
        else:
            axes.append((size, before, after))
    return axes or [(1, 0, 0)]


def _pad_distance(outer: Sequence[tuple[int, int, int]], row: int, row_before: int, output_row: int) -> int:
    """As for concatenation; a row's border is written after it, and before the next row's turn."""
    inside = np.ones(1, bool)
    for size, before, after in outer:
        inside = (inside[:, None] & np.pad(np.ones(size, bool), (before, after))).ravel()
    rows = np.flatnonzero(inside)
    targets = rows * output_row + row_before
    return safe_distance(zip((np.arange(rows.size) * row).tolist(), targets.tolist(), strict=True))


@kernel_for(ResizeNearestNeighbor, dtype=None)
def resize_nearest(site: Site, core: Core) -> Kernel | None:
    """`tc_resize_nearest_s8`: which row and column to copy is a table; the rows of a batch are those of a tall image.

    None for more rows than the table's numbers.
    """
    op, sig = site.node.op, site.sig
    if not isinstance(op, ResizeNearestNeighbor):
        return None
    batch, height, width, channels = sig.input.shape
    rows = (np.arange(batch)[:, None] * height + op.source_rows(sig)).ravel()
    columns, ctype, item = op.source_columns(sig), sig.input.dtype.ctype, sig.input.dtype.item_bytes
    if batch * height > 1 << 16:
        return None
    fields = {
        "input_width": width,
        "output_height": rows.size,
        "output_width": columns.size,
        "channels": channels * item,
    }
    function = struct_call(
        f"resize_nearest_{'x'.join(map(str, sig.output.shape[batch == 1 :]))}",
        "tc_resize_nearest_s8",
        "tc_copy.h",
        (f"const {ctype} *input", f"{ctype} *output", "const uint16_t *rows", "const uint16_t *columns"),
        (Struct("tc_resize_shape", fields),),
        "Every output pixel copies the nearest input pixel.",
        None if item == 1 and ctype == "int8_t" else ("(const int8_t *)input", "(int8_t *)output", "rows", "columns"),
    )
    pixels = (rows[:, None] * width + columns).ravel()
    return Kernel(
        "resize_nearest",
        function,
        (
            Constant("rows", "uint16_t", rows.astype(np.uint16), "the input row of each output row"),
            Constant("columns", "uint16_t", columns.astype(np.uint16), "the input column of each output column"),
        ),
        instructions=30 + 12 * rows.size + pixels.size * (6 + copy_instructions(channels * item)),
        code_bytes=120,
        overlap={0: gathered_distance(pixels, channels * item)},
    )


def copy_instructions(size: int) -> int:
    """Of `tc_copy_down` with a constant size; 16 bytes a turn."""
    return size // 16 * (8 if size < 64 else 11) + size % 16 // 4 * 2 + size % 4 * 4


def _fill_instructions(size: int) -> int:
    """Of memset; the C compiler inlines short ones."""
    return (size + 3) // 4 if size <= 8 else 25 + size // 4

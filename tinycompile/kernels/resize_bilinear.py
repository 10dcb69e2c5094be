"""Linear interpolation of images."""

from __future__ import annotations

from math import gcd
from typing import get_args

import numpy as np

from tinycompile.dtypes import FLOAT32, INT16
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, safe_distance, structured
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.ops.resize_bilinear import ONE, Positions, ResizeBilinear, Rounding
from tinycompile.targets.core import Core

Weights = type[np.uint16] | type[np.float32]

MOST_BITS = 8
"""Of a pixel's weights, for sums of two channels in one word."""


@kernel_for(ResizeBilinear)
def resize_bilinear(site: Site, core: Core) -> Kernel | None:
    """`tc_resize_bilinear_s8`: four products for each output."""
    op, (_, _, width, channels) = site.node.op, site.sig.input.shape
    if not isinstance(op, ResizeBilinear):
        return None
    rows, columns = op.positions(site.sig)
    reads = ((rows.lower[:, None] * width + columns.lower) * channels).ravel()
    distance = ordered_distance(reads, np.arange(1, reads.size + 1) * channels)
    work = 30 + rows.lower.size * 20 + reads.size * (40 + channels * 13)
    return _kernel(site, core, (rows, columns), "resize_bilinear", (10, 10), work, 0, distance)


@kernel_for(ResizeBilinear)
def resize_bilinear_rows(site: Site, core: Core) -> Kernel | None:
    """`tc_resize_bilinear_rows_s8`: rows, then columns, with a row of sums in scratch."""
    op, (_, _, width, channels) = site.node.op, site.sig.input.shape
    if not isinstance(op, ResizeBilinear):
        return None
    positions, (_, height, columns, _) = op.positions(site.sig), site.sig.output.shape
    row, pixel = width * channels, 16 + channels * 33 // 4
    sums = row * 19 // 4 if core.has("dsp") else row * 7
    work = 30 + height * (40 + sums + columns * pixel)
    distance = _distance_by_rows(positions[0], row, columns * channels)
    return _kernel(site, core, positions, "resize_bilinear_rows", (10, 10), work, 4 * row, distance)


def _distance_by_rows(rows: Positions, input_row: int, output_row: int) -> int:
    """Of kernels that read what they need of the input in front of each row of the output."""
    steps = ((int(rows.lower[i + 1]) * input_row, (i + 1) * output_row) for i in range(rows.lower.size - 1))
    return safe_distance(steps)


@kernel_for(ResizeBilinear)
def resize_bilinear_words(site: Site, core: Core) -> Kernel | None:
    """`tc_resize_bilinear_words_s8`: rows, then columns, two channels in a word, where weights are small numbers over a
    power of 2, as they are where an image becomes 2, 4 or 8 times as large.
    """
    op, (_, _, width, channels) = site.node.op, site.sig.input.shape
    if not isinstance(op, ResizeBilinear) or channels % 4:
        return None
    rows, columns = (_reduced(positions) for positions in op.positions(site.sig))
    if not 1 <= rows[1] + columns[1] <= MOST_BITS:
        return None
    bits, y = (rows[1], columns[1]), site.sig.output.shape
    words = width * channels // 4
    work = 30 + y[1] * (30 + 14 * words + y[2] * (14 + channels // 4 * 19))
    distance = _distance_by_rows(rows[0], width * channels, y[2] * channels)
    return _kernel(site, core, (rows[0], columns[0]), "resize_bilinear_words", bits, work, 8 * words, distance)


def _reduced(positions: Positions) -> tuple[Positions, int]:
    """The same with weights out of the smallest power of 2, and that power."""
    common = gcd(ONE, *positions.weight.tolist())
    return Positions(positions.lower, positions.upper, positions.weight // common), (ONE // common).bit_length() - 1


def _kernel(
    site: Site,
    core: Core,
    positions: tuple[Positions, Positions],
    variant: str,
    bits: tuple[int, int],
    instructions: int,
    scratch: int,
    distance: int,
) -> Kernel:
    x, y = site.sig.input.shape, site.sig.output.shape
    fields = {"input_width": x[2], "output_height": y[1], "output_width": y[2], "channels": x[3]}
    fields |= {"row_bits": bits[0], "column_bits": bits[1], **_rounding(site)}
    shape = Struct("tc_resize_bilinear_shape", fields)
    working = ("void *scratch",) if scratch else ()
    return Kernel(
        variant,
        _function(site, f"tc_{variant}_s8", "tc_resize_bilinear.h", "tc_between", shape, more=working),
        _tables("tc_between", positions, np.uint16),
        scratch_bytes=scratch,
        instructions=instructions * (1 if core.has("multiply_accumulate") else 2),
        code_bytes=350,
        overlap={0: distance},
    )


def _rounding(site: Site) -> dict[str, int]:
    op, zero_point = site.node.op, site.sig.output.zero_point
    rule = op.rule if isinstance(op, ResizeBilinear) else "tflite"
    return {"rounding": get_args(Rounding).index(rule), "parity": zero_point & 1}


@kernel_for(ResizeBilinear, dtype=INT16)
def wide_resize_bilinear(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_resize_bilinear`."""
    op, (_, _, width, channels) = site.node.op, site.sig.input.shape
    if not isinstance(op, ResizeBilinear):
        return None
    (rows, row_bits), (columns, column_bits) = (_reduced(positions) for positions in op.positions(site.sig))
    y = site.sig.output.shape
    fields = {"input_width": width, "output_height": y[1], "output_width": y[2], "channels": channels}
    fields |= {"row_bits": row_bits, "column_bits": column_bits, **_rounding(site)}
    shape = Struct("tc_resize_bilinear_shape", fields)
    reads = ((rows.lower[:, None] * width + columns.lower) * channels).ravel()
    distance = ordered_distance(reads, np.arange(1, reads.size + 1) * channels)
    header = "tc_wide_resize_bilinear.h"
    return Kernel(
        "resize_bilinear_wide",
        _function(site, "tc_wide_resize_bilinear", header, "tc_between", shape, "int16_t"),
        _tables("tc_between", (rows, columns), np.uint16),
        instructions=30 + reads.size * (40 + channels * (14 if core.has("multiply_accumulate") else 60)),
        code_bytes=350,
        overlap={0: INT16.item_bytes * distance},
        notes={"reason": "16-bit activations in plain C"},
    )


@kernel_for(ResizeBilinear, dtype=FLOAT32)
def float_resize_bilinear(site: Site, core: Core) -> Kernel | None:
    """`tc_float_resize_bilinear`."""
    op, x, y = site.node.op, site.sig.input, site.sig.output.shape
    if not isinstance(op, ResizeBilinear):
        return None
    fields = {"batch": x.shape[0], "input_height": x.shape[1], "input_width": x.shape[2]}
    fields |= {"output_height": y[1], "output_width": y[2], "channels": y[3]}
    struct = Struct("tc_float_resize_bilinear_shape", fields)
    return Kernel(
        "float_resize_bilinear",
        _function(site, "tc_float_resize_bilinear", "tc_float_resize_bilinear.h", "tc_float_between", struct, "float"),
        _tables("tc_float_between", op.positions(site.sig), np.float32),
        instructions=30 + site.sig.output.elements * (24 if core.has("fpu") else 900),
        code_bytes=300,
        notes={"reason": "float32 in plain C"},
    )


def _function(
    site: Site, callee: str, header: str, table: str, shape: Struct, ctype: str = "int8_t", more: tuple[str, ...] = ()
) -> Function:
    size = "x".join(map(str, site.sig.output.shape[1:]))
    parameters = (f"const {ctype} *input", f"{ctype} *output", f"const {table} *rows", f"const {table} *columns", *more)
    stem = callee.removeprefix("tc_").removesuffix("_s8")
    return struct_call(f"{stem}_{size}", callee, header, parameters, (shape,), "Linear interpolation.")


def _tables(ctype: str, positions: tuple[Positions, Positions], weights: Weights) -> tuple[Constant, ...]:
    """For every row and column of the output the two of the input around it, and the weight of the second."""
    return tuple(
        Constant(name, ctype, _entries(each, weights), f"{name} of the input around those of the output; weight")
        for name, each in zip(("rows", "columns"), positions, strict=True)
    )


def _entries(positions: Positions, weights: Weights) -> Array:
    places = {"lower": positions.lower.astype(np.uint16), "upper": positions.upper.astype(np.uint16)}
    return structured(**places, weight=positions.weight.astype(weights))

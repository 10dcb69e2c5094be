"""The axes of a tensor in another order: run by run, or four lines of bytes by words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.generic_overlap import gathered_distance
from tinycompile.kernels.movement import copy_instructions
from tinycompile.ops.plane_rows import PlaneRows
from tinycompile.ops.transpose import Transpose
from tinycompile.targets.core import Core

TRANSPOSE_LOOPS = 6
"""TC_TRANSPOSE_LOOPS."""
LINES_LOOPS = 4
"""TC_LINES_LOOPS: around the lines."""

Loop = tuple[int, int]
"""Of the output: (size, stride in bytes of the input)."""


@kernel_for(Transpose, dtype=None)
def transpose(site: Site, core: Core) -> Kernel | None:
    """`tc_transpose`; no code where only axes of size 1 move; None for more loops than it has."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Transpose):
        return None
    item = sig.input.dtype.item_bytes
    return _transposition(sig.input, transpose_loops(sig.input.shape, op.permutation, item))


@kernel_for(PlaneRows, dtype=None)
def plane_rows(site: Site, core: Core) -> Kernel | None:
    """`tc_transpose` of some rows."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, PlaneRows):
        return None
    return _of_planes(_transposition(x, _rows_of_planes(op, x)))


@kernel_for(Transpose, dtype=None, needs={"unaligned"})
def transpose_by_words(site: Site, core: Core) -> Kernel | None:
    """`tc_transpose_lines`; None where there are no lines of bytes."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, Transpose):
        return None
    return _by_words(x, transpose_loops(x.shape, op.permutation, x.dtype.item_bytes), core)


@kernel_for(PlaneRows, dtype=None, needs={"unaligned"})
def plane_rows_by_words(site: Site, core: Core) -> Kernel | None:
    """`tc_transpose_lines` of some rows."""
    op, x = site.node.op, site.sig.input
    return _of_planes(_by_words(x, _rows_of_planes(op, x), core)) if isinstance(op, PlaneRows) else None


def _rows_of_planes(op: PlaneRows, x: TensorType) -> list[Loop]:
    _, channels, height, width = x.shape
    item = x.dtype.item_bytes
    loops = [(op.rows * width, item), (channels, height * width * item)]
    return [loop for loop in loops if loop[0] > 1]


def _of_planes(kernel: Kernel | None) -> Kernel | None:
    """A row is written in one piece, and rows are apart in the planes: the output must not share their memory."""
    if kernel is None or kernel.alias_of is not None:
        return None
    return replace(kernel, variant=kernel.variant.replace("transpose", "plane_rows"), overlap={})


def _by_words(x: TensorType, loops: list[Loop], core: Core) -> Kernel | None:
    outer, inner = loops[:-2], loops[-2:]
    if x.dtype.item_bytes != 1 or len(inner) < 2 or inner[0][1] != 1 or inner[0][0] < 4 or len(outer) > LINES_LOOPS:
        return None
    (length, _), (lines, apart) = inner
    sizes, strides = zip(*([(1, 0)] * (LINES_LOOPS - len(outer)) + outer), strict=True)
    function = struct_call(
        f"transpose_lines_{'x'.join(map(str, x.shape))}",
        "tc_transpose_lines",
        "tc_transpose.h",
        (f"const {x.dtype.ctype} *input", f"{x.dtype.ctype} *output"),
        (
            Struct(
                "tc_lines_shape",
                {"size": sizes, "stride": strides, "length": length, "lines": lines, "apart": apart},
            ),
        ),
        "The axes in another order, four bytes at a time.",
    )
    plain = 0 if core.has("dsp") else 1  # UXTB16 and PKHBT are two instructions each
    rows = 20 + 6 * plain if lines == 3 else 4 + lines // 4 * (26 + 8 * plain) + lines % 4 * 10
    return Kernel(
        "transpose_by_words",
        function,
        instructions=30 + prod(sizes) * (10 + length // 4 * rows + length % 4 * lines * 4),
        code_bytes=170,
        overlap={0: _lines_distance(_run_offsets(outer), length, lines)},
    )


def _lines_distance(images: Array, length: int, lines: int) -> int:
    """As `safe_distance`: the images begin at these bytes of the input; four rows at a time are read, then written."""
    first = np.arange(0, length, 4)
    reads = (images[:, None] + first).ravel()
    pending = np.minimum.accumulate(reads[::-1])[::-1]
    ends = np.arange(images.size)[:, None] * length + np.minimum(first + 4, length)
    return int((ends.ravel() * lines - pending).max(initial=0))


def _transposition(x: TensorType, loops: list[Loop]) -> Kernel | None:
    """`loops`: over the output, outermost first."""
    item = x.dtype.item_bytes
    run = loops.pop()[0] * item if loops and loops[-1][1] == item else item
    if not loops:
        return Kernel("transpose", None, alias_of=0)
    if len(loops) > TRANSPOSE_LOOPS:
        return None
    sizes, strides = zip(*([(1, 0)] * (TRANSPOSE_LOOPS - len(loops)) + loops), strict=True)
    function = struct_call(
        f"transpose_{'x'.join(map(str, x.shape))}",
        "tc_transpose",
        "tc_copy.h",
        (f"const {x.dtype.ctype} *input", f"{x.dtype.ctype} *output"),
        (Struct("tc_transpose_shape", {"size": sizes, "stride": strides, "run": run}),),
        "The axes in another order.",
    )
    runs = prod(sizes)
    return Kernel(
        "transpose",
        function,
        instructions=30 + runs * copy_instructions(run),
        code_bytes=150,
        overlap={0: gathered_distance(_run_offsets(loops) // run, run)},
    )


def transpose_loops(shape: Sequence[int], permutation: Sequence[int], item: int) -> list[Loop]:
    """As few loops as it takes over the output, outermost first."""
    strides = [item * prod(shape[axis + 1 :]) for axis in range(len(shape))]
    loops = list[Loop]()
    for axis in permutation:
        size, stride = shape[axis], strides[axis]
        if size == 1:
            continue
        if loops and loops[-1][1] == size * stride:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    return loops


def _run_offsets(loops: Sequence[Loop]) -> Array:
    """The input byte at which each run of the output starts, in memory order of the output."""
    offsets = np.zeros(1, np.int64)
    for size, stride in loops:
        offsets = (offsets[:, None] + np.arange(size) * stride).ravel()
    return offsets

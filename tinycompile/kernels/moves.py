"""Operators that move elements without computing, all by their index map: the operand's own memory, or one kernel."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinycompile.ir import Array, Op, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.index_map import Loop, Loops, factored
from tinycompile.ops.batch_to_space import BatchToSpace
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.mirror_pad import MirrorPad
from tinycompile.ops.repeat import Repeat
from tinycompile.ops.slice import Slice
from tinycompile.ops.space_to_batch import SpaceToBatch
from tinycompile.ops.space_to_depth import SpaceToDepth
from tinycompile.targets.core import Core

MOVE_LOOPS = 6
"""TC_MOVE_LOOPS."""
MOVEMENTS: tuple[type[Op], ...] = (
    *(Slice, Repeat, BroadcastTo, MirrorPad),
    *(SpaceToDepth, DepthToSpace, SpaceToBatch, BatchToSpace),
)


def loops_of(site: Site) -> Loops:
    """Where the elements of the result come from: the operator's meaning, applied to the numbers of its elements."""
    x = site.sig.input
    (moved,) = site.node.op.evaluate(site.sig, [np.arange(x.elements).reshape(x.shape)])
    return factored(moved.ravel())


@kernel_for(*MOVEMENTS, dtype=None)
def view(site: Site, core: Core) -> Kernel | None:
    """No code, where the result is a piece of the operand as it lies in memory."""
    loops, item = loops_of(site), site.sig.input.dtype.item_bytes
    if not loops.is_contiguous:
        return None
    return Kernel(f"{site.node.op.kind}_view", None, alias_of=0, alias_offset=loops.first * item)


@dataclass(frozen=True)
class _Runs:
    """What `tc_move` does, in bytes.

    Attributes:
        loops: around the run, their places in elements.
        run: bytes that stay together.
    """

    first: int
    loops: tuple[Loop, ...]
    run: int
    item: int

    @property
    def starts(self) -> Array:
        """The byte of the input at which each run begins, in memory order of the output."""
        return Loops(self.first, self.loops).map() * self.item

    @property
    def count(self) -> int:
        return prod(loop.size for loop in self.loops)


def _runs_of(loops: Loops, item: int) -> _Runs:
    """With the innermost loop as a run, if its elements lie side by side."""
    innermost = loops.loops[-1] if loops.loops else None
    if innermost is not None and innermost.stride == 1:
        return _Runs(loops.first, Loops(0, loops.loops[:-1]).within(MOVE_LOOPS).loops, innermost.size * item, item)
    return _Runs(loops.first, loops.within(MOVE_LOOPS).loops, item, item)


@kernel_for(*MOVEMENTS, dtype=None)
def moved(site: Site, core: Core) -> Kernel | None:
    """`tc_move`."""
    x, y = site.sig.input, site.sig.output
    runs = _runs_of(loops_of(site), x.dtype.item_bytes)
    sizes, strides, tables, places = [1] * MOVE_LOOPS, [0] * MOVE_LOOPS, [-1] * MOVE_LOOPS, list[Array]()
    for at, loop in enumerate(runs.loops, MOVE_LOOPS - len(runs.loops)):
        sizes[at] = loop.size
        if loop.stride is None:
            tables[at] = sum(known.size for known in places)
            places.append(loop.places * runs.item)
        else:
            strides[at] = loop.stride * runs.item
    fields = {"size": sizes, "stride": strides, "table": tables, "first": runs.first * runs.item, "run": runs.run}
    parameters = (f"const {x.dtype.ctype} *input", f"{y.dtype.ctype} *output")
    kind = site.node.op.kind
    function = struct_call(
        f"{kind}_{'x'.join(map(str, y.shape)) or 'scalar'}",
        "tc_move",
        "tc_move.h",
        (*parameters, "const int32_t *places") if places else parameters,
        (Struct("tc_move_shape", fields),),
        "Elements in another order.",
        ("input", "output", "places" if places else "NULL"),
    )
    table = np.concatenate(places).astype(np.int32) if places else None
    return Kernel(
        kind,
        function,
        () if table is None else (Constant("places", "int32_t", table, "bytes from the first turn of a loop"),),
        instructions=30 + _instructions(runs),
        code_bytes=150,
        overlap={0: ordered_distance(runs.starts, np.arange(runs.count) * runs.run)},
    )


def _instructions(runs: _Runs) -> int:
    """Of all loops: a fill where an innermost byte is repeated, else a copy a turn."""
    outer = prod(loop.size for loop in runs.loops[:-1])
    if runs.run == 1 and runs.loops and runs.loops[-1].stride == 0:
        return outer * (25 + runs.loops[-1].size // 4)
    return 3 * outer + runs.count * ((2 if runs.run < 4 else 5) + copy_instructions(runs.run))


def copy_instructions(size: int) -> int:
    """Of `tc_copy_down` with a constant size; 16 bytes a turn."""
    return size // 16 * (8 if size < 64 else 11) + size % 16 // 4 * 2 + (size % 4 // 2 + size % 2) * 3

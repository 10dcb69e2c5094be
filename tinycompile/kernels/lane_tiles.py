"""The byte-lane product with output channels outside and pixels inside, for weights in a slow memory.

What a block of pixels saves by staying in scratch for all output channels, expanding it once, costs reading all
weights for every block. A cache that holds them makes that cheap. Where none does, this kernel copies the weights to
RAM tile by tile, and expands every block once per tile.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Kernel, Sweeps, tiling_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.lane_conv2d import PARAMETERS, Convolution
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.staged import LINE_SPARE, LINE_WORDS, copies_work, read_once
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

TILES = (4096, 8192, 16384, 32768, 49152)
"""Bytes of weights that are in RAM at once, at most."""


def pairs_of_tile(channels: int, pair_bytes: int, room: int, together: int = 1) -> int | None:
    """Pairs of channels in a tile of at most `room` bytes, about as many in each tile; None where all fit, or not one.

    Args:
        together: pairs that a block function computes in a round.
    """
    total = (channels + 1) // 2
    most = room // pair_bytes // together * together
    if not 0 < most < total:
        return None
    tiles = -(-total // most)
    pairs = -(-total // (tiles * together)) * together
    alone = channels % 2 and total % pairs == 1  # nothing but the pair that repeats a channel
    return pairs + 1 if alone and pairs < most else None if alone else pairs


def bytes_of_tiles(count: int, together: int, each: int) -> list[int]:
    """Of each tile, where so many of `count` are in one, but for the last."""
    return [each * min(together, count - first) for first in range(0, count, together)]


@tiling_for(Conv2D, needs={"dsp"})
def conv2d_tiles(site: Site, core: Core, places: int) -> Iterator[Kernel]:
    """Any window, without groups, two output channels at least; with the block functions of the fastest kernel."""
    blockwise = Convolution.of(site, core, straight=True) or Convolution.of(site, core)
    layer = Pointwise.of(site, core) or blockwise
    if layer is None or layer.channels < 2:
        return
    known = set[int]()
    for room in TILES:
        pairs = pairs_of_tile(layer.channels, 8 * layer.lanes.record, room // places, layer.together)
        if pairs is not None and pairs not in known:
            known.add(pairs)
            yield tiles_kernel(layer, pairs, places)
            if blockwise is not None and pairs % blockwise.together == 0:
                yield tiles_kernel(blockwise, pairs, places, keeps=True)


def tiles_kernel(layer: Convolution | Pointwise, pairs: int, places: int, *, keeps: bool = False) -> Kernel:
    """Args:
    pairs: of channels in a tile, as `pairs_of_tile` finds them.
    places: for tiles in scratch: 1, or 2 where one is filled while the other is read.
    keeps: all blocks stay expanded, which `Pointwise` can't do.
    """
    record, total, blocks = 2 * layer.lanes.record, (layer.channels + 1) // 2, layer.blocks
    kept = 8 * layer.lanes.groups * (sum(pixels * count for pixels, count in blocks.counts) - blocks.largest)
    tiles, copy = -(-total // pairs), -(-(layer.scratch_bytes + keeps * max(0, kept)) // 8) * 2
    room = -(-pairs * record // LINE_WORDS) * LINE_WORDS
    spacing = room if places == 2 else 0
    stem, own = f"conv2d_tiles_{layer.stem}", {"pairs": pairs, "copy": copy, "spacing": spacing, "keeps": int(keeps)}
    function = Function.later(
        stem,
        PARAMETERS,
        lambda: struct_call(
            stem,
            "tc_lane_tiles_s8",
            "tc_lane_tiles.h",
            PARAMETERS,
            (Struct("tc_lane_tiles_shape", {"conv": layer.shape, **own}),),
            f"Convolution by the byte-lane product, output channels in {tiles} tiles whose weights are copied to RAM.",
            (*names_of(PARAMETERS), *layer.names),
            tuple(layer.definitions),
        ),
    )
    again = 10 * blocks.count if keeps else layer.expansions
    work = layer.work + (tiles - 1) * (60 + again) + tiles * Work(40, 40)
    if isinstance(layer, Pointwise):
        work += tiles * blocks.fours * 40  # a call for each block
    work += copies_work(total, pairs, 4 * record)
    expanded = f"{blocks.count} blocks of pixels inside, expanded {'once' if keeps else 'for each tile'}"
    return Kernel(
        ("conv2d_lane_tiles" if isinstance(layer, Convolution) else "conv2d_pointwise_tiles") + "_kept" * keeps,
        function,
        (layer.weights,),
        scratch_bytes=4 * (copy + places * room) + LINE_SPARE,
        instructions=work.instructions,
        cycles=work.cycles_on(layer.core),
        code_bytes=layer.code_bytes + 160,
        hot=layer.hot,
        sweeps=Sweeps(1),
        copies=Sweeps(blocks.count, 4 * pairs * record, layer.scratch_bytes),
        ahead=places == 2,
        notes={
            "requantisation": layer.lanes.plan.form,
            "loops": f"{tiles} tiles of output channels outside, {expanded}",
            "weights": read_once(4 * places * room, places),
        },
        requant=layer.lanes.plan.shape_in_code,
    )

"""The byte-lane product with weights that are pieces of a wider network's, put together tile by tile.

As coded weights are decoded (`lane_coded.py`): for layers whose weights RAM has no room for as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tinycompile.dtypes import INT8
from tinycompile.ir import Site
from tinycompile.kernels.array_pieces import Lender
from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call
from tinycompile.kernels.lane import Rows
from tinycompile.kernels.lane_conv2d import PARAMETERS as LANE_PARAMETERS
from tinycompile.kernels.lane_conv2d import Convolution
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.lane_row_tiles import row_tiles_kernel
from tinycompile.kernels.lane_tiles import bytes_of_tiles, pairs_of_tile, tiles_kernel
from tinycompile.kernels.shared import Share, share_of
from tinycompile.kernels.staged import filled_otherwise
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TILES = (1024, 4096, 16384)
"""Bytes of weights that are in RAM at once, at most."""

PARAMETERS = (*LANE_PARAMETERS[:3], "const uint8_t *own", *LANE_PARAMETERS[3:])


def shared_tiles(site: Site, core: Core, lender: Lender) -> Iterator[Kernel]:
    """Of convolutions without groups and of rows times a matrix; none on cores without the DSP extension."""
    op = site.node.op
    if not core.has("dsp") or not isinstance(op, Conv2D | FullyConnected) or site.sig.input.dtype != INT8:
        return
    fast = Pointwise.of(site, core) or Convolution.of(site, core, straight=True)
    for layer in filter(None, (fast, Convolution.of(site, core))):
        share = None if layer.channels < 2 else _share(layer.weights, lender)
        if share is not None:
            sizes = (pairs_of_tile(layer.channels, 8 * layer.lanes.record, room, layer.together) for room in TILES)
            for pairs in filter(None, dict.fromkeys(sizes)):
                yield _pixels(layer, pairs, share)
    rows = Rows.of(site, core, whole=True)
    share = None if rows is None else _share(rows.weights, lender)
    if rows is not None and share is not None:
        for blocks in dict.fromkeys(room // (4 * rows.block_words) for room in TILES):
            if 0 < blocks < rows.blocks:
                yield _rows(rows, blocks, share)


def _share(weights: Constant, lender: Lender) -> Share | None:
    """None where nothing is worth it, or where there is nothing between the pieces: that is read where it is."""
    found = share_of(weights, lender, 0)
    is_pieces = isinstance(found, Share) and found.whole and found.own and found.pieces.unit == 4
    return found if isinstance(found, Share) and is_pieces else None


def _pixels(layer: Convolution | Pointwise, pairs: int, share: Share) -> Kernel:
    """`pairs`: of channels in a tile, as `pairs_of_tile` finds them."""
    record = 8 * layer.lanes.record
    copy = -(-layer.scratch_bytes // 8) * 2
    tiles = {"conv": layer.shape, "pairs": pairs, "copy": copy, "spacing": 0, "keeps": 0}
    function = _function(
        f"conv2d_shared_{layer.stem}", "tc_lane_shared_s8", ("tc_lane_tiles_shape", tiles), share, layer.names
    )
    copied = bytes_of_tiles((layer.channels + 1) // 2, pairs, record)
    function = replace(function, preambles=tuple(layer.definitions))
    return _sharing(tiles_kernel(layer, pairs, 1), function, share, 4 * copy + pairs * record, copied)


def _rows(layer: Rows, blocks: int, share: Share) -> Kernel:
    """`blocks`: of 8 channels in a tile."""
    copy, size = -(-layer.scratch_bytes // 8) * 2, 4 * layer.block_words
    tiles = {"layer": layer.shape, "blocks": blocks, "copy": copy, "spacing": 0}
    function = _function(
        f"fully_connected_shared_{layer.rows}x{layer.inputs}_{layer.outputs}",
        "tc_lane_row_shared_s8",
        ("tc_lane_row_tiles_shape", tiles),
        share,
        layer.block_names[:1],
    )
    copied = bytes_of_tiles(layer.blocks, blocks, size)
    function = replace(function, preambles=layer.definitions)
    return _sharing(row_tiles_kernel(layer, blocks, 1), function, share, 4 * copy + blocks * size, copied)


def _function(stem: str, callee: str, tiles: tuple[str, Fields], share: Share, blocks: Sequence[str]) -> Function:
    return struct_call(
        stem,
        callee,
        "tc_lane_shared.h",
        PARAMETERS,
        (Struct(tiles[0], tiles[1], "tiles"),),
        "The byte-lane product, weights put together from the widest network's for some channels at a time.",
        (*names_of(PARAMETERS), *blocks, "steps"),
        variables=(f"static const tc_shared_step steps[] = {share.steps}",),
    )


def _sharing(tiled: Kernel, function: Function, share: Share, scratch: int, copied: Sequence[int]) -> Kernel:
    """A kernel that copies tiles, made one that puts them together.

    Args:
        copied: bytes of each tile that the other kernel copies.
    """
    own, lent = share.own, share.lent
    if own is None or lent is None:
        raise ValueError("there is nothing between the pieces")
    whole, shared = share.constant.bytes, share.constant.bytes - own.bytes
    note = (
        f"{shared:,} of {whole:,} bytes are the widest network's, put together in tiles of {max(copied):,} bytes of RAM"
    )
    return replace(
        filled_otherwise(tiled, copied, Work(60, 60), share.work),
        variant=f"{tiled.variant}_shared",
        function=function,
        constants=(lent, own),
        scratch_bytes=-(-scratch // 8) * 8,
        code_bytes=tiled.code_bytes + share.table_bytes,
        notes={**tiled.notes, "weights": f"{note}, tile by tile"},
    )

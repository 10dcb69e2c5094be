"""The byte-lane product with coded weights that are decoded tile by tile: for layers whose weights RAM has no room for.

As weights of few bits are unpacked (`lane_packed.py`): a tile of output channels is decoded, all pixels or rows are
multiplied by it, then the next. A code goes on where the tile before ended, so that each byte is decoded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Kernel, decoding_for
from tinycompile.kernels.coded import Code, codes_of, variant_of
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call
from tinycompile.kernels.lane import LONG_ROUND, SHORT_ROUND, Rows
from tinycompile.kernels.lane_conv2d import PARAMETERS as LANE_PARAMETERS
from tinycompile.kernels.lane_conv2d import Convolution
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.lane_row_tiles import row_tiles_kernel
from tinycompile.kernels.lane_tiles import bytes_of_tiles, pairs_of_tile, tiles_kernel
from tinycompile.kernels.staged import filled_otherwise
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TILES = (1024, 4096, 16384, 49152)
"""Bytes of decoded weights that are in RAM at once, at most."""

PARAMETERS = tuple(each.replace("const int32_t *weights", "const uint32_t *weights") for each in LANE_PARAMETERS)


@decoding_for(Conv2D, needs={"dsp"})
def conv2d_coded(site: Site, core: Core) -> Iterator[Kernel]:
    """Any window, without groups, two output channels at least."""
    layer = Pointwise.of(site, core) or Convolution.of(site, core, straight=True) or Convolution.of(site, core)
    if layer is None or layer.channels < 2:
        return
    record, weights = 8 * layer.lanes.record, layer.weights
    prefix = Code.prefix(weights)
    sizes = (pairs_of_tile(layer.channels, record, room, layer.together) for room in TILES)
    for pairs in filter(None, dict.fromkeys(sizes)):
        codes = codes_of(Code.table(weights, pairs * record), prefix)
        yield from (coded_tiles(layer, pairs, code) for code in codes)


def coded_tiles(layer: Convolution | Pointwise, pairs: int, code: Code) -> Kernel:
    """`pairs`: of channels in a tile, as `pairs_of_tile` finds them."""
    record = 8 * layer.lanes.record
    copy, size = -(-layer.scratch_bytes // 8) * 2, pairs * record
    tiles = {"conv": layer.shape, "pairs": pairs, "copy": copy, "spacing": 0, "keeps": 0}
    function = struct_call(
        f"conv2d_coded_{layer.stem}",
        "tc_lane_coded_s8",
        "tc_lane_coded.h",
        PARAMETERS,
        (Struct("tc_lane_coded_shape", {"tiles": tiles, "room": size // 4, "code": _code_of(code)}),),
        "Convolution by the byte-lane product, weights decoded to RAM for some channels at a time.",
        (*names_of(PARAMETERS), *layer.names),
        tuple(layer.definitions),
    )
    copied = bytes_of_tiles((layer.channels + 1) // 2, pairs, record)
    return _decoding(tiles_kernel(layer, pairs, 1), function, code, 4 * copy, size, copied)


def _code_of(code: Code) -> Fields:
    """`tc_lane_code`."""
    tables = code.tables
    form = {"bits": 0, "is_signed": 0} if tables is None else {"bits": tables.bits, "is_signed": int(tables.signed)}
    return {"words": code.words, **form}


def _decoding(tiled: Kernel, function: Function, code: Code, before: int, size: int, copied: Sequence[int]) -> Kernel:
    """A kernel that copies tiles, made one that decodes them.

    Args:
        before: bytes of scratch in front of the tile. size: of the tile.
        copied: bytes of each tile that the other kernel copies.
    """
    return replace(
        filled_otherwise(tiled, copied, Work(30, 30), code.work),
        variant=variant_of(tiled.variant, [code]),
        function=function,
        constants=(code.constant,),
        scratch_bytes=before + size + code.table_bytes,
        coding=code.coding,
        notes={**tiled.notes, "weights": f"{code.coding}, decoded by way of {size:,} bytes of RAM"},
    )


def _rows(site: Site, core: Core) -> Iterator[Kernel]:
    for together in (SHORT_ROUND, LONG_ROUND):
        layer = Rows.of(site, core, together=together, whole=True)
        if layer is None:
            continue
        weights, prefix = layer.weights, Code.prefix(layer.weights)
        sizes = (room // (4 * layer.block_words) for room in TILES)
        for blocks in dict.fromkeys(size for size in sizes if 0 < size < layer.blocks):
            codes = codes_of(Code.table(weights, 4 * blocks * layer.block_words), prefix)
            yield from (coded_row_tiles(layer, blocks, code) for code in codes)


@decoding_for(FullyConnected, needs={"dsp"})
def fully_connected_coded(site: Site, core: Core) -> Iterator[Kernel]:
    """A fully connected layer."""
    yield from _rows(site, core)


@decoding_for(Conv2D, needs={"dsp"})
def conv2d_row_coded(site: Site, core: Core) -> Iterator[Kernel]:
    """A convolution that is one."""
    yield from _rows(site, core)


def coded_row_tiles(layer: Rows, blocks: int, code: Code) -> Kernel:
    """`blocks`: of 8 channels in a tile."""
    copy, size = -(-layer.scratch_bytes // 8) * 2, 4 * blocks * layer.block_words
    tiles = {"layer": layer.shape, "blocks": blocks, "copy": copy, "spacing": 0}
    function = struct_call(
        f"fully_connected_coded_{layer.rows}x{layer.inputs}_{layer.outputs}",
        "tc_lane_row_coded_s8",
        "tc_lane_coded.h",
        PARAMETERS,
        (Struct("tc_lane_row_coded_shape", {"tiles": tiles, "room": size // 4, "code": _code_of(code)}),),
        "Fully connected layer by the byte-lane product, weights decoded to RAM for some channels at a time.",
        (*names_of(PARAMETERS), layer.block_names[0]),
        layer.definitions,
    )
    copied = bytes_of_tiles(layer.blocks, blocks, 4 * layer.block_words)
    return _decoding(row_tiles_kernel(layer, blocks, 1), function, code, 4 * copy, size, copied)

"""Convolution by the byte-lane product with weights of 4 bits: half their bytes in flash.

A tile of output channels is unpacked to scratch, once, and all pixels are multiplied by it there, with the block
functions of the fastest kernel for weights of 8 bits. So two weights cost about 1.5 instructions more, however many
pixels it is multiplied by. Every layer whose weights lie within -8 and 7 qualifies, whatever type the model gives them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.lane import Lanes, channel_stream
from tinycompile.kernels.lane_conv2d import PARAMETERS, Convolution, pair_order
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.lane_tiles import pairs_of_tile, tiles_kernel
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.staged import copy_work
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

BITS = 4
OFFSET = 8
"""A weight is stored as weight + 8."""

TILES = (1024, 2048, 4096, 8192, 16384, 32768, 49152)
"""Bytes of unpacked weights that are in RAM at once, at most."""

SHARE, LARGE_SHARE = 0.04, 0.15
"""How many instructions more than with all weights in RAM at once, as a part of them."""


def nibble_words(matrix: Array, together: int = 2) -> Array:
    """Weights (C, K), C a multiple of 2 and K of 4, as int32 (C / 2, K / 4).

    A byte has the weights + 8 of two channels for one input, the first channel's in its lower half; a word has the
    bytes of 4 inputs, the first one in its lowest bits.
    """
    halves = (matrix + OFFSET).reshape(-1, together, matrix.shape[1]).astype(np.uint8)
    return (halves[:, 0] | halves[:, 1] << BITS).view("<u4").astype(np.uint32).view(np.int32)


def fits(site: Site) -> bool:
    """Whether a layer with constant weights has such of 4 bits only."""
    return site.constants[1] is not None and LinearLayer.of(site).fits_bits(BITS)


def nibble_pairs(lanes: Lanes) -> Constant:
    """The constant array: as `pair_stream`, with a word for both channels' 4 inputs."""
    order = pair_order(lanes.layer.channels)
    pairs = -(-order.size // 2)

    def stream() -> Array:
        layer = lanes.layer
        matrix = np.pad(layer.matrix, ((0, 0), (0, 4 * lanes.groups - layer.taps)))
        whole = np.pad(matrix[order], ((0, 2 * pairs - order.size), (0, 0)))
        around = channel_stream(np.zeros((layer.channels, 0), np.int32), lanes.plan, 2, order).reshape(pairs, -1)
        return np.concatenate([around[:, :2], nibble_words(whole), around[:, 2:]], axis=1).ravel()

    size = pairs * (2 * (lanes.record - lanes.groups) + lanes.groups)
    comment = "per pair of channels: starts, words with 4 bits for each weight, requantisation"
    return Constant("weights", "int32_t", Deferred(size, np.int32, stream), comment)


def unpacking(lanes: Lanes, pairs: int) -> Work:
    """Of so many pairs of channels, counted from the assembly."""
    each = 36 + 6 * lanes.groups + 5 * 2 * (lanes.record - lanes.groups - 1)
    return pairs * Work(each, each)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_nibbles(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups, two output channels at least."""
    return next(iter(_kernels(site, core)), None)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_nibbles_small(site: Site, core: Core) -> Kernel | None:
    """The same with less scratch: every tile expands all pixels again."""
    return next(iter(_kernels(site, core)[1:]), None)


def _kernels(site: Site, core: Core) -> list[Kernel]:
    """With the smallest tiles that cost at most SHARE, then with smaller ones at most LARGE_SHARE, if there are any."""
    if not fits(site):
        return []
    layer = Pointwise.of(site, core) or Convolution.of(site, core, straight=True) or Convolution.of(site, core)
    if layer is None or layer.channels < 2:
        return []
    whole = nibbles_kernel(layer, (layer.channels + 1) // 2)
    sizes = (pairs_of_tile(layer.channels, 8 * layer.lanes.record, room, layer.together) for room in TILES)
    tiled = [nibbles_kernel(layer, pairs) for pairs in dict.fromkeys(sizes) if pairs is not None]

    def smallest(share: float) -> Kernel:
        return next((kernel for kernel in tiled if kernel.price <= (1 + share) * whole.price), whole)

    return list(dict.fromkeys((smallest(SHARE), smallest(LARGE_SHARE))))


def nibbles_kernel(layer: Convolution | Pointwise, pairs: int) -> Kernel:
    """`pairs`: of channels in a tile; all, or as `pairs_of_tile` finds them."""
    lanes, total = layer.lanes, (layer.channels + 1) // 2
    tiled = tiles_kernel(layer, pairs, 1)
    copy, size = -(-layer.scratch_bytes // 8) * 2, 8 * lanes.record * pairs
    shape = {
        "tiles": {"conv": layer.shape, "pairs": pairs, "copy": copy, "spacing": 0, "keeps": 0},
        "parameters": 2 * (lanes.record - lanes.groups - 1),
    }
    function = struct_call(
        f"conv2d_nibbles_{layer.stem}",
        "tc_lane_nibbles_s8",
        "tc_lane_nibbles.h",
        PARAMETERS,
        (Struct("tc_lane_nibbles_shape", shape),),
        "Convolution by the byte-lane product, weights of 4 bits unpacked to RAM for some output channels at a time.",
        (*names_of(PARAMETERS), *layer.names),
        tuple(layer.definitions),
    )
    more = unpacking(lanes, total)
    for pair in range(0, total, pairs):
        more += -1 * copy_work(8 * lanes.record * min(pairs, total - pair))  # instead of what `tiled` does
    notes = {**tiled.notes, "weights": f"4 bits each, unpacked by way of {size:,} bytes of RAM"}
    return replace(
        tiled,
        variant=tiled.variant.replace("_tiles", "_nibbles"),
        function=function,
        constants=(nibble_pairs(lanes),),
        scratch_bytes=4 * copy + size,
        instructions=tiled.instructions + more.instructions,
        cycles=None if tiled.cycles is None else tiled.cycles + more.cycles,
        code_bytes=tiled.code_bytes + 120,
        copies=None,  # what is unpacked saves flash; `tc_fetch.h` has no part in it
        notes=notes,
    )

"""Convolution by the byte-lane product with weights of 4, 3 or 2 bits: as many of their bytes in flash.

A tile of output channels is unpacked to scratch, once, and all pixels are multiplied by it there, with the block
functions of the fastest kernel for weights of 8 bits. So two weights cost about 1.5 instructions more, however many
pixels they are multiplied by. Every layer whose weights lie within -8 and 7 qualifies, whatever type the model gives
them.
"""

from __future__ import annotations

from dataclasses import replace
from math import lcm

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.lane import Lanes, channel_stream
from tinycompile.kernels.lane_conv2d import PARAMETERS, Convolution, pair_order
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.lane_tiles import pairs_of_tile, tiles_kernel
from tinycompile.kernels.low_bits import fits, packed_groups
from tinycompile.kernels.staged import copy_work
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

TILES = (1024, 2048, 4096, 8192, 16384, 32768, 49152)
"""Bytes of unpacked weights that are in RAM at once, at most."""

SHARE, LARGE_SHARE = 0.04, 0.15
"""How many instructions more than with all weights in RAM at once, as a part of them."""


def pairs_together(bits: int) -> int:
    """Pairs of channels whose weights share words."""
    return 1 if bits == 4 else 2


def packed_pairs(lanes: Lanes, bits: int) -> Constant:
    """The constant array, in the order of `tc_lane_packed.h`."""
    order, together = pair_order(lanes.layer.channels), pairs_together(bits)
    pairs = -(-order.size // 2)
    filled = -(-pairs // together) * together

    def stream() -> Array:
        layer = lanes.layer
        matrix = np.pad(layer.matrix, ((0, 0), (0, 4 * lanes.groups - layer.taps)))
        whole = np.pad(matrix[order], ((0, 2 * filled - order.size), (0, 0)))
        around = channel_stream(np.zeros((layer.channels, 0), np.int32), lanes.plan, 2, order).reshape(pairs, -1)
        around = np.pad(around, ((0, filled - pairs), (0, 0)))
        starts, parameters = (part.reshape(filled // together, -1) for part in (around[:, :2], around[:, 2:]))
        return np.concatenate([starts, packed_groups(whole, bits), parameters], axis=1).ravel()

    words = together * 2 * (lanes.record - lanes.groups) + _words(lanes.groups, bits)
    comment = f"per {2 * together} channels: starts, words with {bits} bits for each weight, requantisation"
    return Constant("weights", "int32_t", Deferred(filled // together * words, np.int32, stream), comment)


def _words(groups: int, bits: int) -> int:
    """That channels which share words have, for so many groups of 4 inputs."""
    return groups + (-(-groups // 2) if bits == 3 else 0)


def unpacking(lanes: Lanes, pairs: int, bits: int) -> Work:
    """Of so many pairs of channels, counted from the assembly."""
    each = {4: 6, 3: 12, 2: 8}[bits]
    work = 40 + each * lanes.groups + 5 * 2 * (lanes.record - lanes.groups - 1)
    return pairs * Work(work, work)


def _kernels(site: Site, core: Core, bits: int) -> list[Kernel]:
    """With the smallest tiles that cost at most SHARE, then with smaller ones at most LARGE_SHARE, if there are any."""
    if not fits(site, bits):
        return []
    layer = Pointwise.of(site, core) or Convolution.of(site, core, straight=True) or Convolution.of(site, core)
    if layer is None or layer.channels < 2:
        return []
    together = pairs_together(bits)
    whole = packed_kernel(layer, (layer.channels + 1) // 2, bits)
    step = lcm(layer.together, together)
    sizes = (pairs_of_tile(layer.channels, 8 * layer.lanes.record, room, step) for room in TILES)
    tiled = [packed_kernel(layer, pairs, bits) for pairs in dict.fromkeys(sizes) if pairs and pairs % together == 0]

    def smallest(share: float) -> Kernel:
        return next((kernel for kernel in tiled if kernel.price <= (1 + share) * whole.price), whole)

    return list(dict.fromkeys((smallest(SHARE), smallest(LARGE_SHARE))))


def _looped(site: Site, core: Core, bits: int) -> Kernel | None:
    """With block functions that all layers share, where others are made for the layer: much less code."""
    if not fits(site, bits):
        return None
    layer = Convolution.of(site, core)
    fast = Pointwise.of(site, core) or Convolution.of(site, core, straight=True)
    if layer is None or fast is None or layer.channels < 2:
        return None
    together = pairs_together(bits)
    whole = packed_kernel(layer, (layer.channels + 1) // 2, bits, "_looped")
    sizes = (pairs_of_tile(layer.channels, 8 * layer.lanes.record, room, together) for room in TILES)
    kept = (pairs for pairs in dict.fromkeys(sizes) if pairs and pairs % together == 0)
    tiled = (packed_kernel(layer, pairs, bits, "_looped") for pairs in kept)
    return next((kernel for kernel in tiled if kernel.price <= (1 + SHARE) * whole.price), whole)


def packed_kernel(layer: Convolution | Pointwise, pairs: int, bits: int, suffix: str = "") -> Kernel:
    """Args:
    pairs: of channels in a tile; all, or as `pairs_of_tile` finds them and a multiple of `pairs_together`.
    suffix: of the names of variant and function.
    """
    lanes, total, together = layer.lanes, (layer.channels + 1) // 2, pairs_together(bits)
    tiled = tiles_kernel(layer, pairs, 1)
    copy, size = -(-layer.scratch_bytes // 8) * 2, 8 * lanes.record * -(-pairs // together) * together
    shape = {
        "tiles": {"conv": layer.shape, "pairs": pairs, "copy": copy, "spacing": 0, "keeps": 0},
        "parameters": 2 * (lanes.record - lanes.groups - 1),
        "bits": bits,
    }
    function = struct_call(
        f"conv2d_{bits}_bits{suffix}_{layer.stem}",
        "tc_lane_packed_s8",
        "tc_lane_packed.h",
        PARAMETERS,
        (Struct("tc_lane_packed_shape", shape),),
        f"Convolution by the byte-lane product, weights of {bits} bits unpacked to RAM for some channels at a time.",
        (*names_of(PARAMETERS), *layer.names),
        tuple(layer.definitions),
    )
    more = unpacking(lanes, -(-total // together) * together, bits)
    for pair in range(0, total, pairs):
        more += -1 * copy_work(8 * lanes.record * min(pairs, total - pair))  # instead of what `tiled` does
    notes = {**tiled.notes, "weights": f"{bits} bits each, unpacked by way of {size:,} bytes of RAM"}
    return replace(
        tiled,
        variant=tiled.variant.replace("_tiles", f"_{bits}_bits{suffix}"),
        function=function,
        constants=(packed_pairs(lanes, bits),),
        scratch_bytes=4 * copy + size,
        instructions=tiled.instructions + more.instructions,
        cycles=None if tiled.cycles is None else tiled.cycles + more.cycles,
        code_bytes=tiled.code_bytes + 120,
        copies=None,  # what is unpacked saves flash; `tc_fetch.h` has no part in it
        notes=notes,
    )


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_4_bits(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups, two output channels at least."""
    return next(iter(_kernels(site, core, 4)), None)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_4_bits_small(site: Site, core: Core) -> Kernel | None:
    """The same with less scratch: every tile expands all pixels again."""
    return next(iter(_kernels(site, core, 4)[1:]), None)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_4_bits_looped(site: Site, core: Core) -> Kernel | None:
    """The same with little code."""
    return _looped(site, core, 4)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_3_bits(site: Site, core: Core) -> Kernel | None:
    """With 3 bits."""
    return next(iter(_kernels(site, core, 3)), None)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_3_bits_small(site: Site, core: Core) -> Kernel | None:
    """With 3 bits and less scratch."""
    return next(iter(_kernels(site, core, 3)[1:]), None)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_3_bits_looped(site: Site, core: Core) -> Kernel | None:
    """With 3 bits and little code."""
    return _looped(site, core, 3)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_2_bits(site: Site, core: Core) -> Kernel | None:
    """With 2 bits."""
    return next(iter(_kernels(site, core, 2)), None)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_2_bits_small(site: Site, core: Core) -> Kernel | None:
    """With 2 bits and less scratch."""
    return next(iter(_kernels(site, core, 2)[1:]), None)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_2_bits_looped(site: Site, core: Core) -> Kernel | None:
    """With 2 bits and little code."""
    return _looped(site, core, 2)

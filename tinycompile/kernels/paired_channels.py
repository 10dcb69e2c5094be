"""Two channels of pixels that are two to a word, for cores with some 30 registers (docs/kernels.md)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, kernel_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer
from tinycompile.kernels.packed_pixels import group_ends
from tinycompile.kernels.pixel_layer import pixel_layer
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

PIXELS = 6
"""Of two channels, summed at a time."""

LONGEST_GROUP = 16
"""Taps: 15 are written out behind the first one."""


def paired_stream(pairs: Array, ends: Array) -> Array:
    """int8: per two channels its groups and a -1; a group has its bytes, 12 times its taps and two weights for each.

    Args:
        pairs: int64 (pairs, 2, taps).
        ends: bool (pairs, taps), as `group_ends` gives them.
    """
    parts = list[Array]()
    for channels, last in zip(pairs, ends, strict=True):
        for group in np.split(channels, np.flatnonzero(last)[:-1] + 1, axis=1):
            parts += [np.array([group.size + 2, 6 * group.size]), group.T.ravel()]
        parts.append(np.array([-1]))
    return np.concatenate(parts).astype(np.uint8).view(np.int8)


@lru_cache(KEPT_LAYERS)
def _pairs_of(layer: LinearLayer) -> tuple[Array, Array]:
    """Two channels side by side, zeros beside the last of an odd number: int64 (pairs, 2, taps); where groups end."""
    pairs = np.pad(layer.matrix, ((0, layer.channels % 2), (0, 0))).reshape(-1, 2, layer.taps)
    return pairs, group_ends(pairs, LONGEST_GROUP)


@kernel_for(Conv2D, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _kernel(site, core)


@kernel_for(FullyConnected, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """Several rows are pixels of a pointwise convolution."""
    return _kernel(site, core)


@cover_for(*PATTERNS, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""

    def behind(layer: Site, after: After) -> Kernel | None:
        return _kernel(layer, core, after)

    return kernel_and_after(site, behind, behind)


def _kernel(site: Site, core: Core, after: After | None = None) -> Kernel | None:
    found = pixel_layer(site, core, "paired", PIXELS, "Two pixels to a word, 6 pixels of two channels at a time.")
    if found is None:
        return None
    layer, requant, pixels, copied = found.layer, found.requant, found.pixels, found.copied
    pairs, ends = _pairs_of(layer)
    groups = int(ends.sum())
    stream = Deferred(pairs.size + 2 * groups + len(pairs), np.int8, lambda: paired_stream(pairs, ends))
    kernel = Kernel(
        found.kind,
        found.function,
        (
            Constant("stream", "int8_t", stream, "groups: their bytes, 12 times their taps, weights of two channels"),
            requant.channels(),
        ),
        scratch_bytes=-(-(2 * PIXELS * layer.taps + copied) // 8) * 8,
        instructions=_instructions(layer, pixels, groups, requant, copied),
        code_bytes=2600,
        sweeps=Sweeps(-(-pixels // PIXELS), between=2 * PIXELS * layer.taps),
        overlap={0: found.distance},
        notes={"requantisation": requant.form},
    )
    return found.with_after(kernel, after)


def _instructions(layer: LinearLayer, pixels: int, groups: int, requant: ScalarRequant, copied: int) -> int:
    """Of all blocks: taps, groups, and for two channels a call and the results."""
    blocks, pairs = -(-pixels // PIXELS), -(-layer.channels // 2)
    each = pairs * (17 * layer.taps + 110) + groups * 27
    windows = 3 * (60 + layer.taps * (14 if copied else 9))
    return blocks * (each + windows) + pixels * layer.channels * requant.packed_instructions

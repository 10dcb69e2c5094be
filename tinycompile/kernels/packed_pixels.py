"""Two pixels to a word, for cores without SIMD (docs/kernels.md)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, kernel_and_after, linear_and_after
from tinycompile.kernels.base import CodeSize, Constant, Deferred, Kernel, Sweeps, kernel_for
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.for_halves import cover_for_halves
from tinycompile.kernels.lane import PRE
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer
from tinycompile.kernels.pixel_layer import PixelLayer, pixel_layer
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

PIXELS = 8
"""Of a channel, summed at a time."""

LARGEST_SUM = 32767
"""Of a group, in magnitude: then the low lane's carry is the high lane's borrow, and nothing else."""

STREAM = "groups: their number of weights, and these"

LONGEST_GROUP = 255
"""Weights: the count is a byte."""


def group_ends(matrix: Array, longest: int = LONGEST_GROUP) -> Array:
    """Whether a group of weights ends with this one: bool (C, K). Groups are as long as they can be, from tap 0 on.

    Args:
        matrix: int64 (C, K); or (C, N, K) where N channels have their groups in common.
        longest: taps that a group may have.

    With x in [-128, 127], a sum is within 128 P + 127 N on one side and 127 P + 128 N on the other, P and N being
    the sums of its positive and its negative weights' magnitudes.
    """
    together = matrix.reshape(len(matrix), -1, matrix.shape[-1])
    channels, common, taps = together.shape
    more, less = np.maximum(together, 0), np.maximum(-together, 0)
    sides = np.stack([128 * more + 127 * less, 127 * more + 128 * less]).reshape(-1, taps)
    # All rows of sums one behind the other, each on a step of its own that no sum reaches: found by one search.
    step = int(sides.sum(axis=1).max(initial=0)) + LARGEST_SUM + 1
    rows = step * np.arange(len(sides))
    sums = np.concatenate([np.zeros((len(sides), 1), np.int64), sides.cumsum(axis=1)], axis=1) + rows[:, None]
    flat, first = sums.ravel(), (taps + 1) * np.arange(len(sides))
    ends, begin = np.zeros((channels, taps), bool), np.zeros(channels, np.int64)
    while begin.size and begin.min() < taps:
        at = first + np.tile(np.repeat(begin, common), 2)
        last = np.searchsorted(flat, flat[at] + LARGEST_SUM, "right") - 1 - first
        end = np.minimum(last.reshape(2, channels, common).min(axis=(0, 2)), begin + longest)
        begin = np.minimum(np.maximum(end, begin + 1), taps)  # a weight alone is a group
        ends[np.arange(channels), begin - 1] = True
    return ends


@lru_cache(KEPT_LAYERS)
def _group_ends_of(layer: LinearLayer) -> Array:
    return group_ends(layer.matrix)


def group_stream(matrix: Array, ends: Array) -> Array:
    """int8: per channel its groups, each a byte with the number of weights and these, and a 0."""
    parts = list[Array]()
    for row, last in zip(matrix, ends, strict=True):
        for group in np.split(row, np.flatnonzero(last)[:-1] + 1):
            parts += [np.array([group.size]), group]
        parts.append(np.zeros(1, np.int64))
    return np.concatenate(parts).astype(np.uint8).view(np.int8)


def matrix_of(stream: Array) -> Array:
    """int8 (C, K): the weights of a `group_stream`; all channels have as many."""
    rows, row, at = list[Array](), list[Array](), 0
    while at < stream.size:
        size = int(stream.view(np.uint8)[at])
        row.append(stream[at + 1 : at + 1 + size])
        at += 1 + size
        if size == 0:
            rows.append(np.concatenate(row))
            row = []
    return np.stack(rows)


@kernel_for(Conv2D, unless={"dsp"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _kernel(site, core)


@kernel_for(Conv2D, needs={"dsp"}, unless={"mve"})
def conv2d_of_large_sums(site: Site, core: Core) -> Kernel | None:
    """The same where sums are too large for the byte-lane product."""
    if any(constant is None for constant in site.constants[1:]) or LinearLayer.of(site).fits(PRE):
        return None
    return _kernel(site, core)


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """Several rows are pixels of a pointwise convolution."""
    return _kernel(site, core)


@cover_for(*PATTERNS, unless={"dsp"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""

    def behind(layer: Site, after: After) -> Kernel | None:
        return _kernel(layer, core, after)

    return kernel_and_after(site, behind, behind)


@cover_for_halves(*PATTERNS, unless={"dsp"})
def linear_and_in_place(site: Site, core: Core) -> Kernel | None:
    """The same with the layer's results of a block in scratch until the sum is stored, which may be where it reads."""
    found = linear_and_after(site)
    if found is None or not found[1].operand:
        return None
    layer, after = found
    plain = _kernel(layer, core)
    if plain is None:
        return None
    waiting = -(-PIXELS * layer.sig.output.shape[-1] // 8) * 8
    apart = replace(after, name="sum_apart", fields={**after.fields, "apart": plain.scratch_bytes})
    kernel = _kernel(layer, core, apart)
    if kernel is None:
        return None
    overlap = {**kernel.overlap, after.operand: 0}
    return replace(kernel, scratch_bytes=kernel.scratch_bytes + waiting, overlap=overlap)


def _kernel(site: Site, core: Core, after: After | None = None) -> Kernel | None:
    found = pixel_layer(site, core, "packed", PIXELS, "Two pixels to a word, 8 pixels of a channel at a time.")
    if found is None:
        return None
    layer, requant, pixels = found.layer, found.requant, found.pixels
    ends = _group_ends_of(layer)
    groups = int(ends.sum())
    size = layer.matrix.size + groups + layer.channels
    stream = Deferred(size, np.int8, lambda: group_stream(layer.matrix, ends))
    words, depth = min(PIXELS // 2, -(-pixels // 2)), site.sig.input.shape[-1]
    kernel = Kernel(
        found.kind,
        found.function,
        (Constant("stream", "int8_t", stream, STREAM, windows=layer.taps // depth), requant.channels()),
        scratch_bytes=-(-(4 * words * layer.taps + found.copied) // 8) * 8,
        instructions=_instructions(found, groups, core),
        code_bytes=1100,
        code=CodeSize(370, {"tc_packed_sums": 150, "tc_packed_expand": 100, found.requant.packed_finish[0]: 100}),
        sweeps=Sweeps(-(-pixels // PIXELS), between=4 * words * layer.taps),
        overlap={0: found.distance},
        notes={"requantisation": requant.form},
    )
    return found.with_after(kernel, after)


def _instructions(found: PixelLayer, groups: int, core: Core) -> int:
    """Of all blocks: taps, groups, and per channel its start, two calls and the results."""
    if core.has("multiply_accumulate"):
        return _with_multiply_accumulate(found, groups)
    layer, pixels, requant = found.layer, found.pixels, found.requant
    total, fixed, tap, word, group, group_word, expanded = 0, 60, 4, 2, 8, 6, 8
    if core.has("many_registers"):  # C: two taps at a time, and one alone in groups of an odd number
        fixed, tap, word, group, group_word, expanded = 80, 2.5, 3, 13, 5, 7
    for count, blocks in ((PIXELS, pixels // PIXELS), (pixels % PIXELS, 1)):
        words = -(-count // 2)
        each = layer.channels * (fixed + words + requant.packed_instructions * count)
        each += layer.matrix.size * (tap + word * words) + groups * (group + group_word * words)
        total += blocks * (each + words * (60 + expanded * layer.taps)) if words else 0
    return int(total)


def _with_multiply_accumulate(found: PixelLayer, groups: int) -> int:
    """Block functions are counted from the assembly, `tc_packed_expand` included; what GCC makes of the loops around
    them is as many instructions as `profile` found for some 170 layers on a Cortex-M3, to 1.4 % of nine in ten.
    """
    layer, pixels, rows = found.layer, found.pixels, found.rows
    output = found.requant.finish_instructions
    total = 30 + rows.checked * 10 + rows.copied * 35 + rows.inside * (13.8 + 0.63 * rows.depth) + rows.outside
    total += (rows.direct + rows.copied) * (12 + 29 * (rows.bytes // 4) + 9 * (rows.bytes % 4))
    for count, blocks in ((PIXELS, pixels // PIXELS), (pixels % PIXELS, int(pixels % PIXELS > 0))):
        words, pairs = -(-count // 2), count // 2
        channel = 28 + words + 9 * (pairs > 0) + 2 * output * pairs
        if count < PIXELS:
            channel += 9 + count % 2 * (2 + output)
        each = layer.matrix.size * (4 + words) + groups * (8 + 6 * words) + layer.channels * channel
        total += blocks * (each + 34 * words)
    return int(total)

"""Two pixels to a word, for cores without SIMD (docs/kernels.md)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, kernel_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.block import is_dense, pixel_steps, row_window
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.lane import PRE
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer, has_wide_weights, padding_value
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._spatial import Window
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

PIXELS = 8
"""Of a channel, summed at a time."""

LARGEST_SUM = 32767
"""Of a group, in magnitude: then the low lane's carry is the high lane's borrow, and nothing else."""

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
    ends = np.zeros((channels, taps), bool)
    positive, negative = np.zeros((2, channels, common), np.int64)
    length = np.zeros(channels, np.int64)
    for tap in range(taps):
        more, less = np.maximum(together[..., tap], 0), np.maximum(-together[..., tap], 0)
        larger, smaller = positive + more, negative + less
        over = (128 * larger + 127 * smaller > LARGEST_SUM) | (127 * larger + 128 * smaller > LARGEST_SUM)
        full = over.any(axis=1) | (length == longest)
        if tap:
            ends[:, tap - 1] = full
        alone = full[:, None]
        positive, negative = np.where(alone, more, larger), np.where(alone, less, smaller)
        length = np.where(full, 1, length + 1)
    ends[:, -1] = True
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


@kernel_for(Conv2D, unless={"dsp"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _conv2d(site, core)


@kernel_for(Conv2D, needs={"dsp"}, unless={"mve"})
def conv2d_of_large_sums(site: Site, core: Core) -> Kernel | None:
    """The same where sums are too large for the byte-lane product."""
    if any(constant is None for constant in site.constants[1:]) or LinearLayer.of(site).fits(PRE):
        return None
    return _conv2d(site, core)


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """Several rows are pixels of a pointwise convolution."""
    return _fully_connected(site, core)


@cover_for(*PATTERNS, unless={"dsp"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""
    return kernel_and_after(
        site,
        lambda layer, after: _conv2d(layer, core, after),
        lambda layer, after: _fully_connected(layer, core, after),
    )


def _conv2d(site: Site, core: Core, after: After | None = None) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Convolution) or not is_dense(site):
        return None
    window = op.window_of(sig)
    stem = f"conv2d_packed_{window_stem(window, sig.input, sig.output)}"
    fields = window_fields(window, sig.input, sig.output)
    steps = pixel_steps(window, sig.input.shape, sig.output.shape, PIXELS)
    return _kernel(site, core, stem, fields, sig.input.shape[3], safe_distance(steps), after)


def _fully_connected(site: Site, core: Core, after: After | None = None) -> Kernel | None:
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    if rows == 1 or has_wide_weights(site):
        return None
    read = (PIXELS * (np.arange(-(-rows // PIXELS)) + 1)).clip(max=rows)
    stem = f"fully_connected_packed_{rows}x{inputs}_{outputs}"
    return _kernel(site, core, stem, row_window(rows), inputs, ordered_distance(read * inputs, read * outputs), after)


def _kernel(
    site: Site, core: Core, stem: str, window: Fields, depth: int, distance: int, after: After | None
) -> Kernel | None:
    if site.latitude is not None or any(constant is None for constant in site.constants[1:]):
        return None  # where weights can be replaced, their groups can't be known
    layer = LinearLayer.of(site)
    requant = ScalarRequant.of(layer, core, 0)
    if requant is None:
        return None
    shape = Struct(
        "tc_packed_conv2d_shape",
        {
            "window": window,
            "input_channels": depth,
            "output_channels": layer.channels,
            "input_zero_point": padding_value(site, layer),
            "requant": requant.fields,
        },
    )
    parameters = ("const int8_t *input", "int8_t *output", "const int8_t *stream", "const int32_t *channels")
    parameters += ("void *scratch",)
    callee, header = "tc_packed_conv2d_s8", "tc_packed_conv2d.h"
    comment = "Two pixels to a word, 8 pixels of a channel at a time."
    finish, definition = requant.packed_finish
    pixels = site.sig.output.elements // layer.channels
    ends = _group_ends_of(layer)
    groups = int(ends.sum())
    size = layer.matrix.size + groups + layer.channels
    stream = Deferred(size, np.int8, lambda: group_stream(layer.matrix, ends))
    fused = site.node.op if isinstance(site.node.op, Convolution) else None
    copied = 0 if fused is None else copied_bytes(site, fused.window_of(site.sig))
    words = min(PIXELS // 2, -(-pixels // 2))
    kernel = Kernel(
        "fully_connected_packed" if fused is None else "conv2d_packed",
        struct_call(
            stem,
            callee,
            header,
            parameters,
            (shape,),
            comment,
            (*names_of(parameters), finish),
            preambles=(definition,),
        ),
        (Constant("stream", "int8_t", stream, "groups: their number of weights, and these"), requant.channels()),
        scratch_bytes=-(-(4 * words * layer.taps + copied) // 8) * 8,
        instructions=_instructions(layer, pixels, groups, requant, core),
        code_bytes=1100,
        sweeps=Sweeps(-(-pixels // PIXELS), between=4 * words * layer.taps),
        overlap={0: distance},
        notes={"requantisation": requant.form},
    )
    if after is None:
        return kernel
    each = 12 if after.table else 28
    function = after.function(callee, stem, header, parameters, shape, comment, [finish], [definition])
    return after.kernel(kernel, function, each * pixels * layer.channels, PIXELS * layer.channels)


def copied_bytes(site: Site, window: Window) -> int:
    """Of two rows of windows, where some reach beyond the image or have gaps."""
    return 2 * window.kernel[1] * site.sig.input.shape[3] if any(window.padding) or window.dilation[1] > 1 else 0


def _instructions(layer: LinearLayer, pixels: int, groups: int, requant: ScalarRequant, core: Core) -> int:
    """Of all blocks: taps, groups, and per channel its start, two calls and the results."""
    total, fixed, tap, word, group, group_word, expanded = 0, 60, 4, 2, 8, 6, 8
    if core.has("multiply_accumulate"):
        word = 1
    elif core.has("many_registers"):  # C: two taps at a time, and one alone in groups of an odd number
        fixed, tap, word, group, group_word, expanded = 80, 2.5, 3, 13, 5, 7
    for count, blocks in ((PIXELS, pixels // PIXELS), (pixels % PIXELS, 1)):
        words = -(-count // 2)
        each = layer.channels * (fixed + words + requant.packed_instructions * count)
        each += layer.matrix.size * (tap + word * words) + groups * (group + group_word * words)
        total += blocks * (each + words * (60 + expanded * layer.taps)) if words else 0
    return int(total)

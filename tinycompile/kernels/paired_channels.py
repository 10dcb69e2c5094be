"""Two channels of pixels that are two to a word, for cores with some 30 registers (docs/kernels.md)."""

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
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer, has_wide_weights, padding_value
from tinycompile.kernels.packed_pixels import copied_bytes, group_ends
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops._convolution import Convolution
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
    return _conv2d(site, core)


@kernel_for(FullyConnected, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """Several rows are pixels of a pointwise convolution."""
    return _fully_connected(site, core)


@cover_for(*PATTERNS, needs={"many_registers", "long_multiply"}, unless={"dsp"})
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
    stem = f"conv2d_paired_{window_stem(window, sig.input, sig.output)}"
    fields = window_fields(window, sig.input, sig.output)
    distance = safe_distance(pixel_steps(window, sig.input.shape, sig.output.shape, PIXELS))
    return _kernel(site, core, stem, fields, sig.input.shape[3], distance, copied_bytes(site, window), after)


def _fully_connected(site: Site, core: Core, after: After | None = None) -> Kernel | None:
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    if rows == 1 or has_wide_weights(site):
        return None
    read = (PIXELS * (np.arange(-(-rows // PIXELS)) + 1)).clip(max=rows)
    stem = f"fully_connected_paired_{rows}x{inputs}_{outputs}"
    distance = ordered_distance(read * inputs, read * outputs)
    return _kernel(site, core, stem, row_window(rows), inputs, distance, 0, after)


def _kernel(
    site: Site, core: Core, stem: str, window: Fields, depth: int, distance: int, copied: int, after: After | None
) -> Kernel | None:
    if site.latitude is not None or any(constant is None for constant in site.constants[1:]):
        return None  # where weights can be replaced, their groups can't be known
    layer = LinearLayer.of(site)
    requant = ScalarRequant.of(layer, core, 0)
    if requant is None:
        return None
    fields = {
        "window": window,
        "input_channels": depth,
        "output_channels": layer.channels,
        "input_zero_point": padding_value(site, layer),
        "requant": requant.fields,
    }
    shape = Struct("tc_packed_conv2d_shape", fields)
    parameters = ("const int8_t *input", "int8_t *output", "const int8_t *stream", "const int32_t *channels")
    parameters += ("void *scratch",)
    callee, header = "tc_paired_conv2d_s8", "tc_paired_conv2d.h"
    comment = "Two pixels to a word, 6 pixels of two channels at a time."
    finish, definition = requant.packed_finish
    pixels = site.sig.output.elements // layer.channels
    pairs, ends = _pairs_of(layer)
    groups = int(ends.sum())
    stream = Deferred(pairs.size + 2 * groups + len(pairs), np.int8, lambda: paired_stream(pairs, ends))
    arguments = (*names_of(parameters), finish)
    kernel = Kernel(
        "fully_connected_paired" if isinstance(site.node.op, FullyConnected) else "conv2d_paired",
        struct_call(stem, callee, header, parameters, (shape,), comment, arguments, preambles=(definition,)),
        (
            Constant("stream", "int8_t", stream, "groups: their bytes, 12 times their taps, weights of two channels"),
            requant.channels(),
        ),
        scratch_bytes=-(-(2 * PIXELS * layer.taps + copied) // 8) * 8,
        instructions=_instructions(layer, pixels, groups, requant, copied),
        code_bytes=2600,
        sweeps=Sweeps(-(-pixels // PIXELS), between=2 * PIXELS * layer.taps),
        overlap={0: distance},
        notes={"requantisation": requant.form},
    )
    if after is None:
        return kernel
    each = 12 if after.table else 28
    function = after.function(callee, stem, header, parameters, shape, comment, [finish], [definition])
    return after.kernel(kernel, function, each * pixels * layer.channels, PIXELS * layer.channels)


def _instructions(layer: LinearLayer, pixels: int, groups: int, requant: ScalarRequant, copied: int) -> int:
    """Of all blocks: taps, groups, and for two channels a call and the results."""
    blocks, pairs = -(-pixels // PIXELS), -(-layer.channels // 2)
    each = pairs * (17 * layer.taps + 110) + groups * 27
    windows = 3 * (60 + layer.taps * (14 if copied else 9))
    return blocks * (each + windows) + pixels * layer.channels * requant.packed_instructions

"""One row times a matrix, two channels to a multiplication, for cores with some 30 registers (docs/kernels.md)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer, has_wide_weights
from tinycompile.kernels.packed_pixels import LARGEST_SUM, group_ends
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TOGETHER = 8
"""Channels whose sums are in registers."""

LONGEST_GROUP = 255
"""Pairs of taps: their number is a byte."""


def weights_of_eights(matrix: Array) -> Array:
    """(C, K) as uint32: [eights of channels][K][2]; a word has w + 128 of four, 0, 2, 1, 3 from its lowest byte on."""
    channels, taps = matrix.shape
    filled = np.pad(matrix, ((0, -channels % TOGETHER), (0, 0))) + 128
    lanes = filled.reshape(-1, 2, 4, taps)[:, :, [0, 2, 1, 3]].transpose(0, 3, 1, 2)
    return np.bitwise_or.reduce(lanes.astype(np.uint32) << 8 * np.arange(4, dtype=np.uint32), axis=3).ravel()


def pair_ends(matrix: Array) -> Array | None:
    """Whether the groups of 8 channels end with these two taps: bool (eights, K / 2); None where two taps are too many.

    Args:
        matrix: int64 (C, K), K even.
    """
    channels, taps = matrix.shape
    magnitudes = (
        np.abs(np.pad(matrix, ((0, -channels % TOGETHER), (0, 0)))).reshape(-1, TOGETHER, taps // 2, 2).sum(axis=3)
    )
    if 128 * int(magnitudes.max()) > LARGEST_SUM:
        return None
    return group_ends(magnitudes, LONGEST_GROUP)


def counts_of_groups(ends: Array) -> Array:
    """uint8: of each row of `pair_ends` the lengths of its groups, and a 0."""
    return np.concatenate([[*np.diff(np.flatnonzero(row), prepend=-1), 0] for row in ends]).astype(np.uint8)


@lru_cache(KEPT_LAYERS)
def _ends_of(layer: LinearLayer) -> Array | None:
    return pair_ends(layer.matrix)


@kernel_for(FullyConnected, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """A single row of an even number of inputs; several are pixels."""
    outputs, inputs = site.sig.inputs[1].shape
    if site.sig.input.elements != inputs or inputs % 2 or has_wide_weights(site):
        return None
    if site.latitude is not None or any(constant is None for constant in site.constants[1:]):
        return None  # where weights can be replaced, their groups can't be known
    layer = LinearLayer.of(site)
    requant, ends = ScalarRequant.of(layer, core, 0), _ends_of(layer)
    if requant is None or ends is None:
        return None
    parameters = ("const int8_t *input", "int8_t *output", "const uint32_t *weights", "const uint8_t *groups")
    parameters += ("const int32_t *channels",)
    shape = Struct("tc_paired_row_shape", {"inputs": inputs, "outputs": outputs, "requant": requant.fields})
    comment = "8 channels at a time, two of them to a multiplication."
    stem = f"fully_connected_pairs_{inputs}_{outputs}"
    weights = Deferred(2 * len(ends) * inputs, np.uint32, lambda: weights_of_eights(layer.matrix))
    groups = int(ends.sum())
    return Kernel(
        "fully_connected_pairs",
        struct_call(stem, "tc_paired_row_s8", "tc_paired_row.h", parameters, (shape,), comment),
        (
            Constant("weights", "uint32_t", weights, "w + 128 of 4 channels in a word, in the order 0, 2, 1, 3"),
            Constant("groups", "uint8_t", counts_of_groups(ends), "pairs of taps whose sums fit 16 bits"),
            requant.channels(),
        ),
        instructions=40 + len(ends) * (90 + 18 * inputs) + 38 * groups + outputs * (requant.instructions + 5),
        code_bytes=500,
        notes={"requantisation": requant.form},
    )

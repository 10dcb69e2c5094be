"""One row times a matrix, 4 channels at a time, for cores without SIMD instructions (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, linear_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TOGETHER = 4
"""Channels whose sums are in registers."""


def weights_of_fours(matrix: Array) -> Array:
    """(C, K) as uint8 w + 128: [fours of channels][K, filled up to a multiple of 4][4]."""
    channels, taps = matrix.shape
    filled = np.pad(matrix, ((0, -channels % TOGETHER), (0, -taps % 4))) + 128
    return filled.reshape(-1, TOGETHER, filled.shape[1]).transpose(0, 2, 1).astype(np.uint8).ravel()


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """A single row; several are pixels."""
    return _kernel(site, core)


@cover_for(*PATTERNS, unless={"dsp"})
def fully_connected_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""
    found = linear_and_after(site)
    if found is None or not isinstance(found[0].node.op, FullyConnected):
        return None
    return _kernel(found[0], core, found[1])


def _kernel(site: Site, core: Core, after: After | None = None) -> Kernel | None:
    outputs, inputs = site.sig.inputs[1].shape
    constant = all(constant is not None for constant in site.constants[1:])
    if site.sig.input.elements != inputs or has_wide_weights(site) or not constant:
        return None
    layer = LinearLayer.of(site)
    extra = 128 * layer.weight_sums
    requant = ScalarRequant.of(layer, core, extra)
    if requant is None:
        return None
    stem, callee, header = f"fully_connected_row_{inputs}_{outputs}", "tc_block_row_s8", "tc_block_row.h"
    parameters = ("const int8_t *input", "int8_t *output", "const uint8_t *weights", "const int32_t *channels")
    parameters += ("void *scratch",)
    shape = Struct("tc_block_row_shape", {"inputs": inputs, "outputs": outputs, "requant": requant.fields})
    comment = "4 channels at a time, their sums in registers."
    taps, fours = -(-inputs // 4) * 4, -(-outputs // TOGETHER)
    weights = Deferred(fours * TOGETHER * taps, np.uint8, lambda: weights_of_fours(layer.matrix))
    products = 9 if core.has("multiply_accumulate") else 13
    kernel = Kernel(
        "fully_connected_row",
        struct_call(stem, callee, header, parameters, (shape,), comment),
        (Constant("weights", "uint8_t", weights, "w + 128, 4 channels side by side"), requant.channels(extra)),
        scratch_bytes=-(-taps // 8) * 8,
        instructions=100 + 4 * taps + fours * (50 + products * taps + taps // 2) + outputs * requant.instructions,
        code_bytes=500,
        overlap={0: 0},
        notes={"requantisation": requant.form},
        requant=requant.shape,
    )
    if after is None:
        return kernel
    after_table, after_sum = (2, 9) if core.has("long_multiply") else (4, 20)
    function = after.function(callee, stem, header, parameters, shape, comment)
    added = (after_table if after.table else after_sum) * outputs
    return after.kernel(kernel, function, added, TOGETHER)

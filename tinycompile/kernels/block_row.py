"""One row times a matrix, 4 channels at a time, for cores without SIMD instructions (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, linear_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights
from tinycompile.kernels.low_bits import offset
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

BYTE = 8
"""Bits of a weight that has a byte for itself."""

TOGETHER = 4
"""Channels whose sums are in registers."""


def weights_of_fours(matrix: Array, bits: int = BYTE) -> Array:
    """(C, K) as uint8 w + 128: [fours of channels][K, filled up to a multiple of 4][4]; with fewer bits, so many of
    the 4 share a byte.
    """
    channels, taps = matrix.shape
    filled = np.pad(matrix, ((0, -channels % TOGETHER), (0, -taps % 4))) + offset(bits)
    fours = filled.reshape(-1, TOGETHER, filled.shape[1]).transpose(0, 2, 1).astype(np.uint8)
    shifts = bits * np.arange(BYTE // bits, dtype=np.uint8)
    return np.bitwise_or.reduce(fours.reshape(-1, BYTE // bits) << shifts, axis=1)


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """A single row; several are pixels."""
    return _kernel(site, core)


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected_4_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 4 bits."""
    return _kernel(site, core, bits=4)


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected_2_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 2 bits."""
    return _kernel(site, core, bits=2)


@cover_for(*PATTERNS, unless={"dsp"})
def fully_connected_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""
    found = linear_and_after(site)
    if found is None or not isinstance(found[0].node.op, FullyConnected):
        return None
    return _kernel(found[0], core, found[1])


def _kernel(site: Site, core: Core, after: After | None = None, *, bits: int = BYTE) -> Kernel | None:
    outputs, inputs = site.sig.inputs[1].shape
    constant = all(constant is not None for constant in site.constants[1:])
    if site.sig.input.elements != inputs or has_wide_weights(site) or not constant:
        return None
    layer = LinearLayer.of(site)
    if bits != BYTE and not layer.fits_bits(bits):
        return None
    extra = 128 * layer.weight_sums
    requant = ScalarRequant.of(layer, core, extra)
    if requant is None:
        return None
    kind = "" if bits == BYTE else f"_{bits}_bits"
    stem, callee, header = f"fully_connected_row{kind}_{inputs}_{outputs}", "tc_block_row_s8", "tc_block_row.h"
    parameters = ("const int8_t *input", "int8_t *output", "const uint8_t *weights", "const int32_t *channels")
    parameters += ("void *scratch",)
    fields = {"inputs": inputs, "outputs": outputs, "requant": requant.fields}
    shape = Struct("tc_block_row_shape", fields if bits == BYTE else fields | {"bits": bits})
    comment = "4 channels at a time, their sums in registers."
    taps, fours = -(-inputs // 4) * 4, -(-outputs // TOGETHER)
    size = fours * TOGETHER * taps * bits // BYTE
    weights = Deferred(size, np.uint8, lambda: weights_of_fours(layer.matrix, bits))
    products = 9 if core.has("multiply_accumulate") else 13 if bits == BYTE else 17
    fixed, copied, four = (60, 2.5, 34) if core.has("multiply_accumulate") else (100, 4, 50)
    work = fixed + int(copied * taps) + fours * (four + products * taps + taps // 2) + outputs * requant.instructions
    kernel = Kernel(
        f"fully_connected_row{kind}",
        struct_call(stem, callee, header, parameters, (shape,), comment),
        (
            Constant("weights", "uint8_t", weights, f"w + {offset(bits)}, 4 channels side by side"),
            requant.channels(extra),
        ),
        scratch_bytes=-(-taps // 8) * 8,
        instructions=work,
        code_bytes=500,
        overlap={0: 0},
        notes={"requantisation": requant.form} | ({} if bits == BYTE else {"weights": f"{bits} bits each"}),
        requant=requant.shape,
    )
    if after is None:
        return kernel
    after_table, after_sum = (2, 9) if core.has("long_multiply") else (4, 20)
    function = after.function(callee, stem, header, parameters, shape, comment)
    added = (after_table if after.table else after_sum) * outputs
    return after.kernel(kernel, function, added, TOGETHER)

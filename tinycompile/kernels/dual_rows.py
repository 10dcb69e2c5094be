"""Matrix-like layers by dual products of int16 weights: for large sums, and for few outputs.

The byte-lane product can't hold sums of 2^23 and more. These weights take twice the flash, except beside a block of 8
channels that is at most half full. Inputs need no preparation but SXTB16; the weights carry whatever left shift the
sums have room for.
"""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.lane import PRE, as_rows, channel_stream, row_steps
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TOGETHER = 4
"""Channels of a block."""


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_dual(site: Site, core: Core) -> Kernel | None:
    """1 row x 4 channels in registers, at least 4 inputs; None where byte lanes do it in less flash."""
    shape = None if site.constants[1] is None or has_wide_weights(site) else as_rows(site)
    if shape is None or shape[1] < 4:
        return None
    rows, inputs, outputs = shape
    layer = LinearLayer.of(site)
    if layer.fits(PRE) and outputs > TOGETHER:
        return None
    pre = next((shift for shift in range(PRE, -1, -1) if layer.fits(shift)), None)
    if pre is None:
        return None
    plan = layer.solve(pre)
    requant = RequantBlock.of(plan)
    if requant is None:
        return None
    blocks = -(-outputs // TOGETHER)
    groups = -(-inputs // 4)
    words = TOGETHER * (1 + 2 * groups + (3 if requant.signed else 2))
    stream = Deferred(
        blocks * words,
        np.int32,
        lambda: channel_stream(_pair_words(layer.matrix << pre), plan, TOGETHER, words_together=2),
    )
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights")
    fields = {"rows": rows, "inputs": inputs, "outputs": outputs, "block_words": words}
    function = struct_call(
        f"fully_connected_dual_{rows}x{inputs}_{outputs}",
        "tc_dual_fully_connected_s8",
        "tc_dual_fully_connected.h",
        parameters,
        (Struct("tc_dual_fully_connected_shape", fields),),
        "Fully connected layer by dual products of int16 weights, 4 channels in registers.",
        (*names_of(parameters), requant.name("dual_row")),
        (requant.define("TC_DUAL_ROW", "dual_row"),),
    )
    group = 19 if core.strict else 13
    per_row = 40 + blocks * (40 + groups * (group + 1))
    return Kernel(
        "fully_connected_dual",
        function,
        (Constant("weights", "int32_t", stream, "per 4 channels: starts, int16 pairs, requantisation"),),
        instructions=60 + rows * per_row,
        code_bytes=400,
        overlap={0: safe_distance(row_steps(rows, inputs, outputs, TOGETHER))},
        notes={"requantisation": plan.form},
        requant=plan.shape_in_code,
    )


def _pair_words(matrix: Array) -> Array:
    """int16 weights (C, K) as words (C, 2 ceil(K / 4)): of every four the pairs (w0, w2) and (w1, w3).

    The last four are those at the end, the second four begin with zeros for what the first have.
    """
    read_again = np.zeros((matrix.shape[0], -matrix.shape[1] % 4), matrix.dtype)
    w = np.concatenate([matrix[:, :4], read_again, matrix[:, 4:]], axis=1).reshape(matrix.shape[0], -1, 4)
    pairs = (w[..., :2] & 0xFFFF) | ((w[..., 2:] & 0xFFFF) << 16)
    return pairs.astype(np.uint32).view(np.int32).reshape(matrix.shape[0], -1)

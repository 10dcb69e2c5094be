"""Matrix-like layers by dual products of pairs of int16: for large sums, and for few outputs.

The byte-lane product can't hold sums of 2^23 and more. These weights take twice the flash, except beside a block of 8
channels that is at most half full. Inputs need no preparation but SXTB16; the weights carry whatever left shift the
sums have room for. Weights of 8 bits take two SXTB16 for every four products more, and no flash.
"""

from __future__ import annotations

from dataclasses import replace

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
    return _rows_kernel(site, core)


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_dual_bytes(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 8 bits: the sums are shifted when they are complete."""
    return _rows_kernel(site, core, narrow=True)


def _rows_kernel(site: Site, core: Core, *, narrow: bool = False) -> Kernel | None:
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
    plan = layer.solve(pre, start_fixed=narrow)
    requant = RequantBlock.of(plan)
    if requant is None:
        return None
    if narrow:  # starts are multiples of the shift, which comes later
        plan = replace(plan, start=plan.start >> pre)
    blocks, groups, each = -(-outputs // TOGETHER), -(-inputs // 4), 1 if narrow else 2
    words = TOGETHER * (1 + each * groups + (3 if requant.signed else 2))
    packed, shifted = (_byte_words, 0) if narrow else (_pair_words, pre)
    stream = Deferred(
        blocks * words,
        np.int32,
        lambda: channel_stream(packed(layer.matrix << shifted), plan, TOGETHER, words_together=each),
    )
    name, macro, bits = ("dual_bytes", "TC_DUAL_ROW_BYTES", 8) if narrow else ("dual", "TC_DUAL_ROW", 16)
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights")
    fields = {"rows": rows, "inputs": inputs, "outputs": outputs, "block_words": words, "shift": pre - shifted}
    function = struct_call(
        f"fully_connected_{name}_{rows}x{inputs}_{outputs}",
        "tc_dual_fully_connected_s8",
        "tc_dual_fully_connected.h",
        parameters,
        (Struct("tc_dual_fully_connected_shape", fields),),
        f"Fully connected layer by dual products of int{bits} weights, 4 channels in registers.",
        (*names_of(parameters), requant.name(f"{name}_row")),
        (requant.define(macro, f"{name}_row"),),
    )
    group = (20 if narrow else 13) + (6 if core.strict else 0)
    per_row = 42 + blocks * (45 + groups * (group + 1))
    kept = "4 bytes" if narrow else "int16 pairs"
    return Kernel(
        f"fully_connected_{name}",
        function,
        (Constant("weights", "int32_t", stream, f"per 4 channels: starts, {kept}, requantisation"),),
        instructions=60 + rows * per_row,
        code_bytes=480 if narrow else 400,
        overlap={0: safe_distance(row_steps(rows, inputs, outputs, TOGETHER))},
        notes={"requantisation": plan.form},
        requant=plan.shape_in_code,
    )


def _pair_words(matrix: Array) -> Array:
    """int16 weights (C, K) as words (C, 2 ceil(K / 4)): of every four the pairs (w0, w2) and (w1, w3)."""
    w = _in_fours(matrix)
    pairs = (w[..., :2] & 0xFFFF) | ((w[..., 2:] & 0xFFFF) << 16)
    return pairs.astype(np.uint32).view(np.int32).reshape(matrix.shape[0], -1)


def _byte_words(matrix: Array) -> Array:
    """int8 weights (C, K) as words (C, ceil(K / 4))."""
    return np.ascontiguousarray(_in_fours(matrix)).astype(np.int8).view("<i4").reshape(matrix.shape[0], -1)


def _in_fours(matrix: Array) -> Array:
    """(C, K) as (C, ceil(K / 4), 4): the last four are those at the end, the second four begin with zeros for what the
    first have."""
    read_again = np.zeros((matrix.shape[0], -matrix.shape[1] % 4), matrix.dtype)
    return np.concatenate([matrix[:, :4], read_again, matrix[:, 4:]], axis=1).reshape(matrix.shape[0], -1, 4)

"""Depthwise convolution with any window from vertical pairs, for cores with the DSP extension (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.depthwise_frame import Frame, pairs
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

LARGEST_PRODUCT = 64
"""Bands x width: the block is unrolled over both."""


def records(frame: Frame, bands: int) -> Deferred:
    """int32 per channel: per band and column of taps a pair for each output row of a block, then requantisation.

    The lower output row's window starts one input row later, in the middle of a band.
    """
    channels, (height, width) = frame.layer.channels, frame.window

    def words() -> Array:
        taps = np.zeros((channels, 2 * bands + 1, width), np.int64)
        taps[:, 1 : height + 1] = frame.taps
        upper = pairs(taps[:, 1::2], taps[:, 2::2], frame.plan.pre)
        lower = pairs(taps[:, :-1:2], taps[:, 1::2], frame.plan.pre)
        return np.stack([upper, lower] if frame.rows == 2 else [upper], axis=-1).reshape(channels, -1)

    return frame.records(bands * width * frame.rows, words)


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_bands(site: Site, core: Core) -> Kernel | None:
    """Depth multiplier 1, stride 1 or 2 in both directions, at least 4 channels."""
    return _kernel(site, compact=False)


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_bands_compact(site: Site, core: Core) -> Kernel | None:
    """The same with weights as bytes, which are unpacked before every use."""
    return _kernel(site, compact=True)


def _kernel(site: Site, *, compact: bool) -> Kernel | None:
    frame = Frame.of(site)
    if frame is None:
        return None
    height, width = frame.window
    bands = height // 2 + 1 if frame.rows == 2 else -(-height // 2)
    if bands * width > LARGEST_PRODUCT:
        return None
    stride = frame.stride
    total = frame.strips + bands - 1
    slots = min(total, 2 * bands)
    channels = frame.output_shape[3]
    unpacked = records(frame, bands)
    stream = frame.compact_records if compact else unpacked
    record = unpacked.size // channels
    shape = {
        **frame.place,
        "columns": frame.columns,
        "bands": bands,
        "slots": slots,
        **frame.weights(record, packed=compact),
        "kernel_width": width,
    }
    function = frame.function(
        "depthwise_bands_{}x{}s{}_{}x{}x{}".format(height, width, stride, *frame.input_shape[1:]),
        "bands",
        frame.image(slots * frame.columns, frame.needed),
        shape,
        f"Depthwise convolution, one channel of {frame.rows} x 2 outputs in registers, band by band.",
        (width, bands),
    )
    products = 2 * frame.rows * width
    loads = -(-width * frame.rows // 4) + -(-(width + stride) // 2)
    per_block = bands * (products + loads + 2) + (25 if stride == 1 else 16)
    unpacking = channels * (30 + (15 if frame.tap_bits < 8 else 9) * record) if compact else 0
    kept = 4 * (total // (slots - bands + 1)) * (bands - 1) * frame.columns * 5 if slots < total else 0
    return Kernel(
        "depthwise_bands_compact" if compact else "depthwise_bands",
        function,
        (
            Constant(
                "weights", "int32_t", stream, f"per channel: {'taps' if compact else 'pairs of taps'}, requantisation"
            ),
        ),
        scratch_bytes=16 * slots * frame.columns + (16 * record if compact else 0),
        instructions=8 * slots * frame.columns
        + -(-channels // 4) * kept
        + unpacking
        + frame.instructions(total, per_block, 45),
        code_bytes=400 + 4 * per_block,
        in_place=frame.works_in_place,
        notes={"requantisation": frame.plan.form} | (frame.packed_note if compact else {}),
        requant=frame.plan.shape_in_code,
    )

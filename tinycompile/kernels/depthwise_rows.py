"""Depthwise convolution with a window of up to 3x3 from vertical pairs, its weights in registers for a whole row.

For cores with the DSP extension; the technique is in docs/kernels.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.depthwise_frame import Frame, pairs
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

WINDOW = 3


def records(frame: Frame) -> Deferred:
    """int32 per channel: pairs of the first two taps of each column, pairs of the last two, requantisation."""

    def words() -> Array:
        taps = np.zeros((frame.layer.channels, WINDOW, WINDOW), np.int64)
        taps[:, : frame.window[0], : frame.window[1]] = frame.taps
        return np.concatenate([pairs(taps[:, row], taps[:, row + 1], frame.plan.pre) for row in (0, 1)], axis=1)

    return frame.records(2 * WINDOW, words)


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_rows(site: Site, core: Core) -> Kernel | None:
    """Stride 1 or 2 in both directions, at least 4 input channels."""
    kernel = _kernel(site, compact=False)
    if kernel is None or not core.has("mve") or site.sig.input.shape[3] == site.sig.output.shape[3]:
        return kernel
    return replace(kernel, notes=kernel.notes | {"reason": "the kernel of vectors takes a depth multiplier of 1"})


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_rows_compact(site: Site, core: Core) -> Kernel | None:
    """The same for depth multiplier 1 with weights as bytes, which are unpacked before every use."""
    return _kernel(site, compact=True)


def _kernel(site: Site, *, compact: bool) -> Kernel | None:
    frame = Frame.of(site, multiplied=not compact)
    if frame is None or max(frame.window) > WINDOW:
        return None
    # The block reads three columns whatever the window's width; those beyond it count nothing but must exist.
    spare = WINDOW - frame.window[1]
    columns = frame.columns + spare + spare % 2
    stride, requant = frame.stride, frame.requant
    unpacked = records(frame)
    stream = frame.compact_records if compact else unpacked
    (_, height, width, channels) = frame.input_shape
    record = unpacked.size // frame.layer.channels
    times = f"x{frame.multiplier}" if frame.multiplier > 1 else ""
    shape = {**frame.place, "columns": columns, "multiplier": frame.multiplier, **frame.weights(record, packed=compact)}
    function = frame.function(
        f"depthwise_rows_{frame.window[0]}x{frame.window[1]}s{stride}_{height}x{width}x{channels}{times}",
        "rows",
        frame.image(columns, frame.needed),
        shape,
        f"Depthwise convolution, one channel of {frame.rows} x 2 outputs in registers.",
    )
    per_block = (50 if stride == 1 else 32) + (5 if requant.signed or requant.clamp_steps else 0)
    return Kernel(
        "depthwise_rows_compact" if compact else "depthwise_rows",
        function,
        (
            Constant(
                "weights", "int32_t", stream, f"per channel: {'taps' if compact else 'pairs of taps'}, requantisation"
            ),
        ),
        scratch_bytes=32 * columns + (16 * record if compact else 0),
        instructions=16 * columns
        + (channels * (50 + 12 * record * (frame.tap_bits < 8)) if compact else 0)
        + frame.instructions(frame.strips + 1, per_block, 42),
        code_bytes=540 if compact else 410,
        in_place=frame.place_by_rows is not None,
        in_place_at=frame.place_by_rows or 0,
        notes={"requantisation": frame.plan.form} | (frame.packed_note if compact else {}),
        requant=frame.plan.shape_in_code,
    )

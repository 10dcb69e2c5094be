"""Depthwise convolution with a window of up to 3x3 tile by tile: little scratch, and the output may follow the input.

The same blocks as in `depthwise_rows`, in another order: the output is computed in rows of tiles, all channels of a
tile before the next one, so that the input's memory may be overwritten as soon as no later tile reads it. The bands
of a tile are packed anew each time, which costs some instructions; the less scratch, the more.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Factory, Kernel, kernel_for, safe_distance
from tinycompile.kernels.depthwise_frame import Frame
from tinycompile.kernels.depthwise_rows import WINDOW, records
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

WIDTHS = (0, 16, 8, 4)
"""Output columns of a tile, at most; 0 for the whole row."""


def tiled(widest: int) -> Factory:
    """The kernel with tiles of up to `widest` columns."""

    def factory(site: Site, core: Core) -> Kernel | None:
        frame = Frame.of(site)
        if frame is None or max(frame.window) > WINDOW:
            return None
        out_width = frame.output_shape[2]
        if widest and out_width <= widest:
            return None
        return _kernel(frame, tile_width(out_width, widest or out_width))

    return factory


def tile_width(out_width: int, widest: int) -> int:
    """Even, and about the same for all tiles."""
    width = -(-out_width // -(-out_width // widest))
    return width + width % 2


def _kernel(frame: Frame, width: int) -> Kernel:
    (_, height, in_width, channels), out_width = frame.input_shape, frame.output_shape[2]
    stride, requant = frame.stride, frame.requant
    tiles = -(-out_width // width)
    columns = (width - 1) * stride + WINDOW  # of the image, as the block reads them
    columns += columns % 2
    stream = records(frame)
    window = f"{frame.window[0]}x{frame.window[1]}"
    shape = {
        **frame.place,
        "columns": columns,
        "tile": width,
        **frame.weights(stream.size // channels, packed=False),
    }
    function = frame.function(
        f"depthwise_tiles_{width}_{window}s{stride}_{height}x{in_width}x{channels}",
        "tiles",
        frame.image(columns, in_width),
        shape,
        f"Depthwise convolution, tiles of {width} columns, {frame.rows} x 2 outputs of a channel in registers.",
    )
    per_block = (50 if stride == 1 else 32) + (5 if requant.signed or requant.clamp_steps else 0)
    per_block += 2 * frame.rows * (2 * requant.signed + requant.clamp_steps)
    packing = -(-channels // 4) * 2 * (70 + 12 * columns)
    per_tile = 20 + packing + channels * (42 + per_block * -(-width // 2))
    return Kernel(
        f"depthwise_tiles_{width}",
        function,
        (Constant("weights", "int32_t", stream, "per channel: pairs of taps, requantisation"),),
        scratch_bytes=32 * columns,
        instructions=60 + frame.strips * tiles * per_tile,
        code_bytes=900,
        overlap={0: safe_distance(_steps(frame, width))},
        notes={"requantisation": frame.plan.form},
        requant=frame.plan.shape_in_code,
    )


def _steps(frame: Frame, tile: int) -> Iterator[tuple[int, int]]:
    """Per tile: the lowest byte that it or a later one reads, and where the tile's output ends."""
    (_, height, in_width, channels), (_, out_height, out_width, _) = frame.input_shape, frame.output_shape
    row_bytes = in_width * channels
    for strip in range(frame.strips):
        first = min(height, max(0, 2 * strip - frame.op.padding[0]))
        following = min(height, max(0, 2 * strip + 2 - frame.op.padding[0]))
        last_row = min(out_height, (strip + 1) * frame.rows) - 1
        for x in range(0, out_width, tile):
            column = min(in_width, max(0, x * frame.stride - frame.op.padding[2]))
            pending = min(first * row_bytes + column * channels, following * row_bytes)
            yield pending, (last_row * out_width + min(out_width, x + tile)) * channels


for _widest in WIDTHS:
    kernel_for(DepthwiseConv2D, needs={"dsp"})(tiled(_widest))

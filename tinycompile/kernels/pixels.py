"""A camera's bytes become pixels of a model."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.pixels import FORMATS, Pixels
from tinycompile.targets.core import Core

_COLOURS = {"gray8": 1, "rgb888": 3, "bgr888": 3, "rgb565": 10, "rgb565be": 10, "yuyv": 30, "uyvy": 30}
"""Instructions for the colours of a pixel, counted on an M4; of raw sensors _RAW, and _GRAY for one value of three."""

_RAW, _GRAY = 7, 6


@kernel_for(Pixels, dtype=None)
def pixels(site: Site, core: Core) -> Kernel | None:
    """`tc_pixels`, for the format alone."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Pixels):
        return None
    _, height, width, channels = sig.output.shape
    fields = {
        "format": list(FORMATS).index(op.format),
        "row_bytes": sig.input.shape[2] * sig.input.shape[3],
        "first": op.first,
        "rows": height,
        "columns": width,
        "step": op.step,
        "average": int(op.average),
        "channels": channels,
    }
    function = struct_call(
        f"pixels_{op.format}_{height}x{width}x{channels}",
        "tc_pixels",
        "tc_pixels.h",
        ("const uint8_t *input", "int8_t *output", "const int8_t *tables"),
        (Struct("tc_pixels_shape", fields),),
        f"{op.format} from a camera, as the model's numbers.",
    )
    return Kernel(
        "pixels",
        function,
        (Constant("tables", "int8_t", np.frombuffer(op.tables, np.int8), "the model's number for each value"),),
        instructions=30 + height * width * _of_a_pixel(op, channels),
        code_bytes=250,
    )


def _of_a_pixel(op: Pixels, channels: int) -> int:
    """Of the result: colours, sums where there are several, an entry of the table for each channel."""
    plain = channels == 1 and op.layout.gray is not None
    colours = 1 if plain else _COLOURS.get(op.format, _RAW) + (_GRAY if channels == 1 else 0)
    if not op.average or op.step == 1:
        return colours + 3 * channels
    return op.step**2 * (colours + (5 if channels == 1 else 8)) + (5 if channels == 1 else 30)

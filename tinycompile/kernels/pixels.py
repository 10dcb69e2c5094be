"""A camera's bytes become pixels of a model."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.pixels import FORMATS, Pixels
from tinycompile.targets.core import Core

_COLOURS = {"gray8": 3, "rgb888": 7, "bgr888": 7, "rgb565": 16, "rgb565be": 16}
"""Instructions for the colours of a pixel; _OTHERS for those that are computed of several."""

_OTHERS, _LUMA, _GRAY = 32, 3, 6


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
    read = height * width * (op.step**2 if op.average else 1)
    return Kernel(
        "pixels",
        function,
        (Constant("tables", "int8_t", np.frombuffer(op.tables, np.int8), "the model's number for each value"),),
        instructions=30 + read * (_colours(op, channels) + 2 * channels) + height * width * (8 + 5 * channels),
        code_bytes=250,
    )


def _colours(op: Pixels, channels: int) -> int:
    if channels == 1 and op.layout.gray is not None:
        return _LUMA
    return _COLOURS.get(op.format, _OTHERS) + (_GRAY if channels == 1 else 0)

"""Depthwise convolution whose taps stay in registers, for cores with some 30 of them (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, Sweeps, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call, window_stem
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.packed_depthwise import Axes
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

MOST_TAPS = 9
"""That registers hold beside sums, pointers and the requantisation's constants."""

TOGETHER = (4, 3, 2, 1)
"""Outputs of a row that may be summed at a time."""


@kernel_for(DepthwiseConv2D, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def depthwise_plane(site: Site, core: Core) -> Kernel | None:
    """Windows of up to 9 taps; rows or columns of the image, whichever fill blocks better."""
    kernels = [kernel for turned in (False, True) if (kernel := _kernel(site, core, turned=turned)) is not None]
    return min(kernels, key=lambda kernel: kernel.instructions, default=None)


def _kernel(site: Site, core: Core, *, turned: bool) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or any(constant is None for constant in site.constants[1:]):
        return None
    axes = Axes.of(site, op.window_of(sig), turned=turned)
    layer = LinearLayer.of(site)
    possible = layer.taps <= MOST_TAPS and min(axes.window.padding) >= 0
    requant = ScalarRequant.of(layer, core, 0) if possible else None
    if requant is None or not isinstance(requant.way, ProductRequant) or site.latitude is not None:
        return None
    weights = layer.weights[..., 0].transpose(0, 2, 1) if turned else layer.weights[..., 0]
    rows, columns = axes.plane
    together = min(TOGETHER, key=lambda n: _row(axes, layer.taps, n, requant) if n <= axes.output[1] else np.inf)
    fields = {
        **axes.placement(site),
        "rows": rows,
        "columns": columns,
        "together": together,
        "input_zero_point": layer.zp_in,
        "requant": requant.fields,
    }
    parameters = ("const int8_t *input", "int8_t *output", "const int8_t *weights", "const int32_t *channels")
    function = struct_call(
        f"depthwise_plane_{'turned_' if turned else ''}{window_stem(op.window_of(sig), sig.input, sig.output)}",
        "tc_plane_depthwise_s8",
        "tc_plane_depthwise.h",
        (*parameters, "void *scratch"),
        (Struct("tc_plane_depthwise_shape", fields),),
        f"Depthwise convolution channel by channel, {together} outputs at a time.",
    )
    filled = 2.75 * min(axes.size[0], rows) * min(axes.size[1], columns) / op.multiplier(sig)
    each = 60 + 3 * layer.taps + filled + axes.output[0] * _row(axes, layer.taps, together, requant)
    return Kernel(
        "depthwise_plane",
        function,
        (
            Constant("weights", "int8_t", weights.reshape(-1).astype(np.int8), "taps of each channel"),
            requant.channels(),
        ),
        scratch_bytes=-(-rows * columns // 8) * 8,
        instructions=int(3 * rows * columns + layer.channels * each),
        code_bytes=770,
        sweeps=Sweeps(1),
        in_place=sig.input.shape == sig.output.shape,
        notes={"requantisation": requant.form},
    )


def _row(axes: Axes, taps: int, together: int, requant: ScalarRequant) -> float:
    """Instructions of a row of outputs."""
    (height, width), stride = axes.window.kernel, axes.window.stride[1]
    loaded = height * min(width * together, width + (together - 1) * stride)
    output = 2 * taps + 6.4 + 3 * (requant.form == "smmla_signed")
    return 15 + -(-axes.output[1] // together) * (together * output + loaded + 3)

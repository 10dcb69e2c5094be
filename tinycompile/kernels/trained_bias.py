"""The forward pass of layers of which the bias alone is trained: the kernels of the DSP extension for constant weights.

What sums begin with, the bias included, is computed in scratch before each call. Lane products have it there in place
of starts among the weights; of the others, whose weights are a few words per channel, these are copied with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Factory, Function, Kernel, kernel_for
from tinycompile.kernels.depthwise_bands import depthwise_bands, depthwise_bands_compact
from tinycompile.kernels.depthwise_frame import Frame
from tinycompile.kernels.depthwise_rows import depthwise_rows, depthwise_rows_compact
from tinycompile.kernels.depthwise_strips import depthwise_strips
from tinycompile.kernels.depthwise_toeplitz import depthwise_toeplitz
from tinycompile.kernels.few_channels import FewChannels
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.lane import PRE, lane_offset
from tinycompile.kernels.lane_conv2d import conv2d, conv2d_short_rows, conv2d_small, conv2d_straight, pair_order
from tinycompile.kernels.lane_pointwise import conv2d_pointwise
from tinycompile.kernels.lane_strip import Order, conv2d_strip, conv2d_strip_straight
from tinycompile.kernels.linear_layer import LinearLayer, SiteOfAddedBias
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

HEADER = "kernels/tc_added_bias.h"


def layer_of(site: Site) -> SiteOfAddedBias | None:
    """The layer without its bias; None where more than that is trained, or constants may be replaced."""
    op = site.node.op
    if not isinstance(op, TrainedLayer) or len(site.constants) < 3 or site.latitude is not None:
        return None
    if site.constants[1] is None or site.constants[2] is not None:
        return None
    node = replace(site.node, op=op.layer)
    return SiteOfAddedBias(node, site.sig, site.constants, limit=op.bias_limit)


def with_starts(inner: Kernel, site: SiteOfAddedBias) -> Kernel:
    """A kernel of the byte-lane product behind what computes its starts."""
    layer = LinearLayer.of(site)
    if inner.variant.startswith("conv2d_strip"):
        _, rows, columns, depth = site.sig.inputs[1].shape
        layer = Order(rows, columns * depth).arrange(layer)
    plan, order = layer.solve(PRE, lane_offset(layer.matrix)), pair_order(layer.channels)
    starts = Constant("starts", "int32_t", plan.start[order].astype(np.int32), "of sums, without the bias")
    call = "tc_starts_with_bias(bias, starts, (int32_t *)scratch, added)"
    function = _behind(inner, call, layer, 1 << PRE, (starts, *inner.constants), {"scratch": "behind"})
    return _kernel(inner, function, (starts, *inner.constants), 4 * order.size, 12 * layer.channels)


def with_records(inner: Kernel, site: SiteOfAddedBias) -> Kernel | None:
    """A depthwise kernel behind a copy of its constants that has the bias."""
    frame = Frame.of(site, multiplied=True)
    if frame is None or len(inner.constants) != 1:
        return None
    layer, (constant,) = frame.layer, inner.constants
    words = constant.bytes // (4 * layer.channels)
    call = f"tc_records_with_bias(bias, weights, (int32_t *)scratch, {words}, {words - frame.parameters}, added)"
    renamed = {"weights": "(const int32_t *)scratch", "scratch": "behind"}
    function = _behind(inner, call, layer, frame.plan.scale, (constant,), renamed)
    return _kernel(inner, function, (constant,), constant.bytes, layer.channels * (18 + 2 * words))


def _behind(
    inner: Kernel,
    call: str,
    layer: LinearLayer,
    factor: int,
    constants: tuple[Constant, ...],
    renamed: Mapping[str, str],
) -> Function:
    """The function that makes what sums begin with, then calls a kernel's own.

    Args:
        call: what does so, and returns what is behind it in scratch.
        renamed: arguments of the kernel's own function, by its parameters.
    """
    own = inner.function
    if own is None:
        raise ValueError(f"{inner.variant} has no function")
    (image, output), (low, high) = own.parameters[:2], layer.added
    declared = (f"const {constant.ctype} *{constant.suffix}" for constant in constants)
    arguments = (renamed.get(name, name) for name in names_of(own.parameters))
    text = (
        f"    const tc_added_bias added = {{{layer.channels}, {low}, {high}, {factor}}};\n"
        f"    int32_t *const behind = {call};\n"
        f"    $0({', '.join(arguments)});\n"
    )
    parameters = (image, "const int32_t *bias", output, *declared, "void *scratch")
    comment = "A bias in RAM is added to what sums begin with."
    return Function(f"{own.stem}_with_bias", parameters, text, (HEADER,), comment, callees=(own,))


def _kernel(inner: Kernel, function: Function, constants: tuple[Constant, ...], room: int, cost: int) -> Kernel:
    """`room`: bytes of scratch in front of the kernel's own."""
    room = -(-room // 8) * 8
    cycles = None if inner.cycles is None else inner.cycles + cost
    return replace(
        inner,
        variant=f"{inner.variant}_with_bias",
        function=function,
        constants=constants,
        scratch_bytes=room + inner.scratch_bytes,
        instructions=inner.instructions + cost,
        cycles=cycles,
        code_bytes=inner.code_bytes + 80,
    )


def beside_few(inner: Factory, site: SiteOfAddedBias, core: Core) -> Kernel | None:
    """A depthwise kernel of all channels but a few whose scales are too small for its requantisation."""
    few = FewChannels.of(site)
    found = inner(few.others, core) if few is not None else None
    added = found and few and with_records(found, few.others)
    return added and few and few.beside(added)


Adding = Callable[[Kernel, SiteOfAddedBias], Kernel | None]


def _offer(inner: Factory, op: type[Conv2D | DepthwiseConv2D], add: Adding) -> Factory:
    def factory(site: Site, core: Core) -> Kernel | None:
        layer = layer_of(site)
        if layer is None or not isinstance(layer.node.op, op):
            return None
        found = inner(layer, core)
        return add(found, layer) if found is not None else beside_few(inner, layer, core)

    factory.__name__ = factory.__qualname__ = f"{inner.__name__}_with_bias"
    return kernel_for(TrainedLayer, needs={"dsp"})(factory)


LANES = (
    *(conv2d, conv2d_straight, conv2d_small, conv2d_short_rows, conv2d_pointwise),
    *(conv2d_strip, conv2d_strip_straight),
)
DEPTHWISE = (
    *(depthwise_strips, depthwise_rows, depthwise_rows_compact),
    *(depthwise_bands, depthwise_bands_compact, depthwise_toeplitz),
)
OFFERED = {
    **{inner: _offer(inner, Conv2D, with_starts) for inner in LANES},
    **{inner: _offer(inner, DepthwiseConv2D, with_records) for inner in DEPTHWISE},
}
"""By the kernel for a layer that isn't trained."""

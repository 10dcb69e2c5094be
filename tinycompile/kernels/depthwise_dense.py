"""Depthwise convolution of images of a few pixels, as a matrix of weights for each channel (docs/kernels.md).

A 7x7 window on a 3x3 image has 441 products, of which 81 don't multiply padding. Only for cores with the DSP extension.
"""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.depthwise_frame import int32_stream, pairs
from tinycompile.kernels.depthwise_pairs import requantized
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.hot_code import HotFunction, Loop
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

MOST_WORDS = 5
"""Pairs of pixels that registers hold."""

MOST_OUTPUTS = 16

LARGER = 5 / 4
"""The matrix isn't larger than the window's taps in pairs by more: else the layer is better computed by windows."""


def matrix(op: DepthwiseConv2D, image: tuple[int, int], output: tuple[int, int], weights: Array) -> Array:
    """Int64 (C, outputs, pixels): what every output multiplies each pixel of the image by.

    Args:
        image, output: (height, width).
        weights: (C, height, width) of the window.
    """
    found = np.zeros((len(weights), *output, *image), np.int64)
    for y, x, i, j in np.ndindex(*output, *weights.shape[1:]):
        row = y * op.stride[0] - op.padding[0] + i * op.dilation[0]
        column = x * op.stride[1] - op.padding[2] + j * op.dilation[1]
        if 0 <= row < image[0] and 0 <= column < image[1]:
            found[:, y, x, row, column] = weights[:, i, j]
    return found.reshape(len(weights), output[0] * output[1], -1)


def records(op: DepthwiseConv2D, site: Site, layer: LinearLayer, plan: RequantPlan) -> Array:
    """int32 stream per channel: the requantisation's parameters, then per output its start and pairs of weights."""
    (_, *image, _), (_, *output, channels) = site.sig.input.shape, site.sig.output.shape
    weights = layer.weights[..., 0].astype(np.int64)
    dense = matrix(op, (image[0], image[1]), (output[0], output[1]), weights)
    # The padding reads the zero point, and its weights aren't in the matrix: it is part of the start.
    outside = weights.sum((1, 2))[:, None] - dense.sum(2)
    starts = plan.start.astype(np.int64)[:, None] + ((layer.zp_in * outside) << plan.pre)
    dense = np.pad(dense, ((0, 0), (0, 0), (0, dense.shape[2] % 2)))
    sums = np.concatenate([starts[:, :, None], pairs(dense[..., 0::2], dense[..., 1::2], plan.pre)], axis=2)
    parameters = np.stack([np.broadcast_to(field, channels) for field in plan.parameters], axis=1).astype(np.int64)
    return int32_stream(np.concatenate([parameters, sums.reshape(channels, -1)], axis=1))


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_dense(site: Site, core: Core) -> Kernel | None:
    """Depth multiplier 1, images of at most 10 pixels, at least 4 channels; windows that are larger than the image."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or site.constants[1] is None:
        return None
    (_, height, width, depth), (_, out_height, out_width, channels) = sig.input.shape, sig.output.shape
    pixels, outputs, (kernel_height, kernel_width) = height * width, out_height * out_width, sig.inputs[1].shape[1:3]
    words = -(-pixels // 2)
    if depth != channels or channels < 4 or words > MOST_WORDS or outputs > MOST_OUTPUTS:
        return None
    if outputs * (1 + words) > LARGER * kernel_height * kernel_width:
        return None
    layer = LinearLayer.of(site)
    plan = requantized(layer)
    requant = None if plan is None else RequantBlock.of(plan)
    if plan is None or requant is None:
        return None
    record = 2 + requant.signed + outputs * (1 + words)
    block = f"depthwise_dense_{words}_{outputs}x{channels}"
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    function = struct_call(
        f"depthwise_dense_{kernel_height}x{kernel_width}_{height}x{width}x{channels}",
        "tc_depthwise_dense_s8",
        "tc_depthwise_dense.h",
        parameters,
        (
            Struct(
                "tc_depthwise_dense_shape",
                {"pixels": pixels, "channels": channels, "record_words": record},
            ),
        ),
        "Depthwise convolution of a small image, every output a sum over all pixels.",
        (*names_of(parameters), requant.name(block)),
        (requant.define("TC_DEPTHWISE_DENSE_BLOCK", block, words, outputs, channels),),
    )
    per_output = 4 + words + (words > 3) + 2 * requant.signed + requant.clamp_steps
    size = outputs * 4 * per_output
    stream = Deferred(channels * record, np.int32, lambda: records(op, site, layer, plan))
    return Kernel(
        "depthwise_dense",
        function,
        (
            Constant(
                "weights", "int32_t", stream, "per channel: requantisation, then per output start, pairs of weights"
            ),
        ),
        scratch_bytes=-(-16 * words // 8) * 8,
        instructions=30 + channels * (12 + outputs * per_output) + -(-channels // 4) * (50 + 16 * words),
        code_bytes=150 + size,
        hot=(HotFunction(requant.name(block), 50 + size, (Loop(size, channels),)),),
        in_place=sig.input.shape == sig.output.shape,
        notes={"requantisation": plan.form},
        requant=plan.shape_in_code,
    )

"""Gradients of layers' inputs whose int32 sums are never whole in memory, on cores with the DSP extension.

Block-floating values need the largest sum of them all, so everything is computed once for the exponent and once more
for the values. Scratch is for two pixels, or two channels, and the result may lie where the gradient was that it is
made of.
"""

from __future__ import annotations

from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for, safe_distance
from tinycompile.kernels.training_products import DepthwiseProducts, InputProducts, is_pointwise
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.targets.core import Core

HEADER = "tc_gradients_in_two_passes.h"
NOTES = {"reason": "sums are computed twice instead of being kept"}


@kernel_for(InputGradient, dtype=None, needs={"dsp"})
def pointwise_gradient_in_two_passes(site: Site, core: Core) -> Kernel | None:
    """`tc_pointwise_gradient_in_two_passes`: of two pixels at a time."""
    products = InputProducts.of(site)
    if products is None or not is_pointwise(products.op.geometry):
        return None
    _, pixels, channels = products.geometry.image
    if pixels < 2:
        return None
    pairs = range(2, pixels + 2, 2)
    steps = ((2 * products.geometry.outputs * min(end, pixels), 2 * channels * min(end, pixels)) for end in pairs)
    comment = "The gradient of a pointwise layer's input, two pixels at a time, and all of them twice."
    return Kernel(
        "pointwise_gradient_in_two_passes",
        products.function("pointwise_gradient_in_two_passes", HEADER, comment),
        products.constants,
        scratch_bytes=-(-4 * (2 * products.depth + 2 * products.rows) // 8) * 8,
        instructions=2 * products.instructions + pixels * (channels * 13 + 30) + 100,
        code_bytes=1300 if products.block is None else 1700,
        overlap={0: safe_distance(steps)},
        notes=NOTES,
    )


@kernel_for(InputGradient, dtype=None, needs={"dsp"})
def depthwise_gradient_in_two_passes(site: Site, core: Core) -> Kernel | None:
    """`tc_depthwise_gradient_in_two_passes`: of two channels at a time."""
    products = DepthwiseProducts.of(site)
    if products is None:
        return None
    rows, columns, channels = products.geometry.image
    # An odd channel's pair has one of the pair before it, whose gradient must still be there.
    in_place = products.geometry.positions == (rows, columns) and channels % 2 == 0
    comment = "The gradient of a depthwise convolution's input, two channels at a time, and all of them twice."
    return Kernel(
        "depthwise_gradient_in_two_passes",
        products.function("depthwise_gradient_in_two_passes", HEADER, comment),
        products.constants,
        scratch_bytes=-(-4 * (2 * rows * columns + products.words) // 8) * 8,
        instructions=2 * products.instructions + prod(products.geometry.image) * 12,
        code_bytes=1700,
        in_place=in_place,
        notes=NOTES,
    )

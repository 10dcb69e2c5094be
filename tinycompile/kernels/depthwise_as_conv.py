"""Depthwise convolutions of few input channels with a multiplier, as convolutions: each output sees all inputs, most
with weight 0.

litert-torch writes every convolution of a one-channel input so. The products with zeros cost less than what depthwise
kernels do for an input channel, which pays over many pixels and one output channel.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, Site, TensorType
from tinycompile.kernels.equivalent import equivalent_for
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

MOST_CHANNELS = 8
"""Of the input: as many products for one that counts."""


@equivalent_for(DepthwiseConv2D)
def as_conv2d(site: Site) -> Site | None:
    """The same sums and requantisation by other operands; None where that isn't cheaper for sure."""
    op, sig, weights = site.node.op, site.sig, site.constants[1]
    channels = sig.input.shape[3]
    if not isinstance(op, DepthwiseConv2D) or weights is None or sig.input.dtype != INT8:
        return None
    multiplier = op.multiplier(sig)
    if channels > min(multiplier, MOST_CHANNELS):
        return None
    rows, columns = weights.shape[1:3]
    dense = np.zeros((sig.output.shape[3], rows, columns, channels), weights.dtype)
    every = np.arange(sig.output.shape[3])
    dense[every, :, :, every // multiplier] = weights[0].transpose(2, 0, 1)
    conv = Conv2D(**{field.name: getattr(op, field.name) for field in fields(op)})
    x, w, *bias = sig.inputs
    return replace(
        site,
        node=replace(site.node, op=conv),
        sig=Signature((x, _weights_type(w, dense.shape), *bias), sig.outputs),
        constants=(site.constants[0], dense, *site.constants[2:]),
    )


def _weights_type(weights: TensorType, shape: tuple[int, ...]) -> TensorType:
    """With the channels' axis in front."""
    quant = weights.quant
    if quant is not None and quant.axis is not None:
        quant = Quantization(quant.scale, quant.zero_point, Conv2D.weight_axis)
    return replace(weights, shape=shape, quant=quant)

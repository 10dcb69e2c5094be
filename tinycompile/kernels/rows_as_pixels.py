"""Fully connected layers of several rows, as convolutions of one pixel: a weight that is loaded serves some pixels.

What transformers have most of: projections of tokens.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Signature, Site, TensorType
from tinycompile.kernels.equivalent import equivalent_for
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected


@equivalent_for(FullyConnected)
def as_conv2d(site: Site) -> Site | None:
    """Rows are the pixels of an image of one row; None for a single row, computed weights, and other types.

    Convolutions have no form for the rare factor that only float64 rounds as LiteRT does.
    """
    op, sig, weights = site.node.op, site.sig, site.constants[1]
    rows = prod(sig.input.shape[:-1])
    if not isinstance(op, FullyConnected) or weights is None or rows < 2:
        return None
    x, w, *bias = sig.inputs
    if x.dtype != INT8 or w.dtype != INT8:
        return None
    rule = op.requant(sig)
    if isinstance(rule, RoundedProductRequant) and not np.all(rule.is_fixed_point(*LinearLayer.of(site).acc_range)):
        return None
    outputs, inputs = w.shape
    shaped = Signature(
        (_of_shape(x, (1, 1, rows, inputs)), _of_shape(w, (outputs, 1, 1, inputs)), *bias),
        (_of_shape(sig.output, (1, 1, rows, outputs)),),
    )
    return replace(
        site,
        node=replace(site.node, op=Conv2D(clamp=op.clamp, rule=op.requant(sig))),
        sig=shaped,
        constants=(site.constants[0], weights.reshape(outputs, 1, 1, inputs), *site.constants[2:]),
    )


def _of_shape(t: TensorType, shape: tuple[int, ...]) -> TensorType:
    """Weights are scaled along the same axis, the first."""
    return replace(t, shape=shape)

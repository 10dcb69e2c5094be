"""Convolutions of a few groups, as convolutions of one: each output sees all inputs, most with weight 0.

The products with zeros cost less than what portable C does for those that count, as long as there are few groups: so
many times the weights are in flash, which the price of a kernel has, too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Signature, Site
from tinycompile.kernels.equivalent import equivalent_for
from tinycompile.ops.conv2d import Conv2D

MOST_GROUPS = 16
"""As many products for one that counts. On most cores portable C is faster from 6 on, with vectors hardly ever."""


@equivalent_for(Conv2D)
def as_one_group(site: Site) -> Site | None:
    """The same sums and requantisation by other weights; None where that isn't cheaper for sure."""
    op, sig, weights = site.node.op, site.sig, site.constants[1]
    if not isinstance(op, Conv2D) or weights is None or sig.input.dtype != INT8 or sig.inputs[1].dtype != INT8:
        return None
    groups = op.groups(sig)
    if not 1 < groups <= MOST_GROUPS:
        return None
    outputs, rows, columns, depth = weights.shape
    each = outputs // groups
    dense = np.zeros((outputs, rows, columns, groups * depth), weights.dtype)
    for group in range(groups):
        own = slice(group * each, (group + 1) * each)
        dense[own, :, :, group * depth : (group + 1) * depth] = weights[own]
    x, w, *bias = sig.inputs
    return replace(
        site,
        sig=Signature((x, replace(w, shape=dense.shape), *bias), sig.outputs),
        constants=(site.constants[0], dense, *site.constants[2:]),
    )

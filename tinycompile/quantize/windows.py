"""What a linear layer's weights are multiplied with: its operand's windows, as columns that samples have."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.float_graph import attributes_of

_COLUMNS = 6144
"""Windows at most from which a layer's statistics are taken."""


def windows_of(layer: Any, weights: Array, x: Array) -> Array | None:
    """float32 (groups, depth, columns): what the products of each output are taken with."""
    attributes = attributes_of(layer)
    if layer.op_type != "Conv":
        if weights.ndim != 2 or attributes.get("transA", 0):
            return None
        rows = x.reshape(-1, x.shape[-1])
        return rows[:: max(1, -(-len(rows) // _COLUMNS))].T[None]
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    kernel = weights.shape[2:]
    spatial, group = len(kernel), attributes.get("group", 1)
    strides, dilations = attributes.get("strides", [1] * spatial), attributes.get("dilations", [1] * spatial)
    pads = attributes.get("pads", [0] * 2 * spatial)
    padded = np.pad(x, ((0, 0), (0, 0), *((pads[i], pads[spatial + i]) for i in range(spatial))))
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=tuple(range(2, 2 + spatial)))
    view = view[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]
    view = view[(..., *(slice(None, None, d) for d in dilations))]
    places = np.prod([len(x), *view.shape[2 : 2 + spatial]])
    chosen = np.arange(0, places, max(1, places // _COLUMNS))
    sample, *at = np.unravel_index(chosen, (len(x), *view.shape[2 : 2 + spatial]))
    flat = view[(sample, slice(None), *at)]  # (columns, channels, *kernel)
    depth = x.shape[1] // group * int(np.prod(kernel))
    return np.ascontiguousarray(flat.reshape(len(chosen), group, depth).transpose(1, 2, 0))

"""Rounding of weights that minimises the layer's error on calibration samples, instead of each weight's own.

Source: E. Frantar et al., "GPTQ", ICLR 2023, section 3: columns are rounded one by one, and what each rounding costs is
made up for by the columns that are not rounded yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.float_graph import FloatGraph, attributes_of, output_axis
from tinycompile.quantize.ranges import FloatSession
from tinycompile.quantize.scales import weight_scales

_DAMPING = 0.01
_COLUMNS = 4096
"""Windows per sample, at most, that the statistics are taken from."""
_LARGEST_DEPTH = 2048


def rounded_weights(graph: FloatGraph, samples: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """int8 weights of the layers for which it is possible, by the name of their result, in the layout of ONNX."""
    layers = [n for n in graph.nodes if n.op_type in ("Conv", "Gemm") and n.input[1] in graph.constants]
    layers = [n for n in layers if _depth(graph, n) <= _LARGEST_DEPTH]
    names = list(dict.fromkeys(n.input[0] for n in layers))
    session = FloatSession(graph.model(), [n for n in names if n not in graph.inputs])
    moments = dict[str, Array]()
    for sample in samples:
        values = {**sample, **session.run(sample)}
        for layer in layers:
            windows = _windows(graph, layer, values[layer.input[0]])
            if windows is not None:
                moment = windows @ windows.swapaxes(1, 2)
                moments[layer.output[0]] = moments.get(layer.output[0], 0) + moment
    return {
        layer.output[0]: _rounded(graph, layer, moments[layer.output[0]])
        for layer in layers
        if layer.output[0] in moments
    }


def _depth(graph: FloatGraph, layer: Any) -> int:
    weights = graph.constants[layer.input[1]]
    return weights.size // weights.shape[output_axis(layer)]


def _windows(graph: FloatGraph, layer: Any, x: Array) -> Array | None:
    """float64 (groups, depth, columns): what the products of each output are taken with."""
    if layer.op_type == "Gemm":
        return x.reshape(-1, x.shape[-1]).T[None].astype(np.float64) if x.ndim == 2 else None
    attributes, weights = attributes_of(layer), graph.constants[layer.input[1]]
    if weights.ndim != 4 or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    kernel, group = weights.shape[2:], attributes.get("group", 1)
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded[0], extent, axis=(1, 2))
    view = view[:, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    channels, rows, columns = view.shape[:3]
    step = max(1, -(-rows * columns // _COLUMNS))
    flat = view.transpose(0, 3, 4, 1, 2).reshape(channels, *kernel, rows * columns)[..., ::step]
    return flat.reshape(group, -1, flat.shape[-1]).astype(np.float64)


def _rounded(graph: FloatGraph, layer: Any, moments: Array) -> Array:
    weights, axis = graph.constants[layer.input[1]], output_axis(layer)
    rows = np.moveaxis(weights, axis, 0)
    scale = weight_scales(weights, axis)
    groups = moments.shape[0]
    matrices = rows.reshape(groups, rows.shape[0] // groups, -1) / scale.reshape(groups, -1, 1)
    done = [_solve(matrix.astype(np.float64), moment) for matrix, moment in zip(matrices, moments, strict=True)]
    values = np.concatenate(done).reshape(rows.shape)
    return np.ascontiguousarray(np.moveaxis(values, 0, axis)).astype(np.int8)


def _solve(matrix: Array, moment: Array) -> Array:
    """Integers near `matrix` (outputs, depth), in units of the scale."""
    depth = matrix.shape[1]
    damping = _DAMPING * float(np.mean(np.diag(moment))) + 1e-9
    inverse = np.linalg.inv(moment + damping * np.eye(depth))
    factor = np.linalg.cholesky((inverse + inverse.T) / 2).T
    left, result = matrix.copy(), np.empty_like(matrix)
    for column in range(depth):
        result[:, column] = np.clip(np.rint(left[:, column]), -127, 127)
        error = (left[:, column] - result[:, column]) / factor[column, column]
        left[:, column + 1 :] -= error[:, None] * factor[column, column + 1 :]
    return result

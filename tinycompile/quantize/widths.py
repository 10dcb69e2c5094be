"""Networks of several widths with the same integers: a narrower one's weights are a leading block of the widest one's.

A supernet's networks share weights, but each has statistics of its own in its batch normalisations, so that folded
weights of a channel are the shared ones times a factor. Integers are the widest network's; the factor is in the scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.quantize import Calibrated, Quantized, calibrated_as_it_is
from tinycompile.quantize.coded import CodedWeights
from tinycompile.quantize.fitting import along, fitted, layer_scales
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.network import Setting, decibels
from tinycompile.quantize.qdq import linear_layers

ALIKE = 1e-3
"""Of a channel's largest weight, by which folded weights may differ from the shared ones times a factor."""

HOW = "the integers of the widest network's weights"


def quantized_widths(models: Sequence[Path], calib: Path, evaluation: Path | None = None) -> list[Quantized]:
    """QDQ models whose integer weights are leading blocks of the first one's, wherever the float weights are.

    Args:
        models: float ONNX files of the same layers, the widest first.
        calib, evaluation: as of `quantize`; the same for all.

    Raises:
        UsageError: a network has other layers. Others as of `quantize`.
    """
    widest = calibrated_as_it_is(models[0], calib, evaluation)
    found = [widest.written()]
    shared = _weights_of(found[0].proto, widest.graph)
    others = (calibrated_as_it_is(model, calib, evaluation) for model in models[1:])
    return [*found, *(_narrower(each, widest, shared) for each in others)]


def _weights_of(proto: Any, graph: FloatGraph) -> list[tuple[Array, Array]]:
    """(integers, scales) of each layer as a QDQ model has them."""
    known = {each.name: each for each in proto.graph.initializer}
    to_array = onnx_module().numpy_helper.to_array
    names = [node.output[0] for node in linear_layers(graph)]
    return [(to_array(known[f"{name}_weights_quantized"]), to_array(known[f"{name}_weights_scale"])) for name in names]


def _narrower(each: Calibrated, widest: Calibrated, shared: Sequence[tuple[Array, Array]]) -> Quantized:
    base = each.attempts[0]
    graph, wide = base.network.graph, widest.attempts[0].network.graph
    mine, theirs = linear_layers(graph), linear_layers(wide)
    if [node.op_type for node in mine] != [node.op_type for node in theirs]:
        raise UsageError(
            "the layers are others than the widest network's",
            where=each.where,
            why=f"{len(mine)} with weights here, {len(theirs)} in {widest.where}, or others",
            hint="the same network with fewer channels",
        )
    known = dict[str, CodedWeights]()
    for node, other, (integers, scales) in zip(mine, theirs, shared, strict=True):
        coded = _coded(node, graph.constants[node.input[1]], wide.constants[other.input[1]], integers, scales)
        if coded is not None:
            known[node.output[0]] = coded
    result = fitted(base.network, Setting(base.parameters, wide=base.wide), weights=False, known=known)
    noise = base.network.noise(base.network.run(result.setting))
    trial = replace(base.trial, rounded=False, sqnr=decibels(noise), weights=HOW)
    return each.written([replace(base, fitted=result, trial=trial)])


def _coded(node: Any, own: Array, whole: Array, integers: Array, scales: Array) -> CodedWeights | None:
    """A layer's weights as the widest one's integers and scales of their own; None where they aren't in proportion."""
    if own.ndim != whole.ndim or any(a > b for a, b in zip(own.shape, whole.shape, strict=True)):
        return None
    block = tuple(map(slice, own.shape))
    _, axis = layer_scales(node, own)
    part, others = whole[block], tuple(i for i in range(own.ndim) if i != axis)
    if scales.size != whole.shape[axis]:
        return None
    power = (part * part).sum(axis=others)
    factor = np.where(power > 0, (own * part).sum(axis=others) / np.where(power > 0, power, 1), 1.0)
    error = np.abs(own - part * along(factor, axis, own.ndim)).max(axis=others)
    if np.any(error > ALIKE * np.maximum(np.abs(own).max(axis=others), np.finfo(np.float32).tiny)) or not np.all(
        factor
    ):
        return None
    codes = integers[block] * along(np.sign(factor), axis, own.ndim)
    mine = (scales[: own.shape[axis]] * np.abs(factor)).astype(np.float32)
    return CodedWeights(np.ascontiguousarray(codes.astype(np.int8)), mine, axis, 8, None, HOW)

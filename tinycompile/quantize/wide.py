"""Tensors of 16 bits: the few whose rounding to 8 costs most at the network's outputs.

Which ones may have 16 bits, the importer says: those around which it needs no float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.errors import FloatIslandWarning, TinycompileError
from tinycompile.frontend.onnx import expand, import_model
from tinycompile.frontend.onnx_file import static_model
from tinycompile.progress import step
from tinycompile.quantize.float_graph import LINEAR, output_axis
from tinycompile.quantize.folds import Extremes
from tinycompile.quantize.network import Network, Setting, Step, decibels
from tinycompile.quantize.qdq import QdqModel
from tinycompile.quantize.scales import SMALLEST

_ROOM = 4.0
"""A range of 16 bits goes so many times as far as the samples: steps remain 1/64 of those of 8 bits."""
_LEAST = 0.25
"""dB that a tensor has to bring."""
_PRICE = 0.2
"""Part of all products that may become ones of 16 bits for each dB; they take 2 to 4 times as many instructions."""

ToModel = Callable[[Setting], QdqModel]
"""What a setting's activations and wide tensors make of the network, for the importer to look at."""


def wide_grid(extremes: Extremes) -> tuple[float, int]:
    """(scale, zero point) of int16."""
    peak = max(-float(extremes.low.min()), float(extremes.high.max()))
    return float(np.float32(max(_ROOM * peak / 32767, SMALLEST))), 0


def widened(network: Network, setting: Setting, extremes: Mapping[str, Extremes], to_model: ToModel) -> Setting:
    """The setting with 16 bits for the tensors that bring most, one after the other, as long as they are worth it.

    Args:
        network: with samples to judge by.
        setting: scales of activations, and weights and biases, for 8 bits.
        extremes: of the tensors that are rounded.
    """
    costs, refused = Costs(network), set[str](network.inputs)
    floats = _floats(to_model(setting))
    if floats == inf:  # whoever compiles it is told what is wrong
        return setting
    values = network.run(setting)
    noise = network.noise(values)
    while noise > 0:
        step(f"calibrating: 16 bits, after {len(setting.wide)} tensors")
        tried = list[tuple[float, str, Setting]]()
        for name in extremes:
            if name not in setting.wide and name not in refused:
                wider = replace(setting.with_grid(name, wide_grid(extremes[name])), wide=setting.wide | {name})
                start = {**values, name: network.rounding(name, network.before(name, values, setting), wider)}
                tried.append((network.noise(network.run(wider, [name], start)), name, wider))
        for found, name, wider in sorted(tried, key=lambda each: each[0]):
            gain = decibels(found) - decibels(noise)
            if not gain >= _LEAST:
                return setting
            more = costs.part(wider.wide) - costs.part(setting.wide)
            if more > _PRICE * gain or not _floats(to_model(wider)) <= floats:
                refused.add(name)
                continue
            setting, values = wider, network.run(wider)
            noise = network.noise(values)
            break
        else:
            return setting
    return setting


class Costs:
    """How much of a network's arithmetic is with tensors of 16 bits."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._products = {each.result: _products(network, each) for each in network.steps}

    def part(self, wide: frozenset[str]) -> float:
        """Of all products and other operations, those with an operand or a result of 16 bits."""
        around = set(wide)
        for each in reversed(list(self._network.steps)):
            if each.result in around or not wide.isdisjoint(each.operands):
                # What isn't rounded is part of the operation behind it.
                around |= {each.result, *(set(each.operands) - self._network.rounded)}
        total = sum(self._products.values())
        return sum(self._products.get(name, 0.0) for name in around & self._products.keys()) / max(total, 1.0)


def _products(network: Network, each: Step) -> float:
    """Of a step, for all samples."""
    layer = each.layer
    if layer is None:
        return float(max(network.floats[name].size for name in (each.result, *each.operands)))
    weights = network.graph.constants[layer.input[1]]
    axis = output_axis(layer) if layer.op_type in LINEAR else weights.ndim - 1
    return network.floats[each.result].size * weights.size / weights.shape[axis]


def _floats(model: QdqModel) -> float:
    """Elements that the importer computes in float32; infinite where it refuses the model."""
    proto = model.proto
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FloatIslandWarning)
        try:
            graph = import_model(static_model(expand(proto), "model"), "model", "model", floats="islands")
        except TinycompileError:
            return inf
    outputs = (graph.types[name] for node in graph.nodes for name in node.outputs)
    return sum(each.elements for each in outputs if each.dtype == FLOAT32)

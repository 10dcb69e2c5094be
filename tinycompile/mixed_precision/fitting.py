"""Weights of few bits for the layers of an int8 network: what operands say of a layer, and layers fitted in order.

Each layer is fitted to the operands that it gets behind layers that have few bits already; its bias makes up for what
is left on average, of its own weights and of all in front. Layers that keep 8 bits get such biases as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.network import Layer, Network, Parameters
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.progress import step
from tinycompile.quantize.low_bits import DAMPING, WeightMethod, fit_weights

COLUMNS = 8192
"""Windows at most from which a layer's statistics are taken."""


@dataclass(frozen=True, eq=False)
class LowBits:
    """A layer with few bits, as a file has it.

    Attributes:
        codes: int8 (outputs, products). scales: float32 (outputs,). bias: int32 (outputs,), in steps of operand times
            weight; None for a layer without one.
        noise: power of the error as a part of the results', on the operands that it was fitted to.
    """

    bits: int
    codes: Array
    scales: Array
    bias: Array | None
    noise: float

    def parameters(self, layer: Layer) -> Parameters:
        scales = self.scales.astype(np.float64)
        bias = np.zeros(layer.outputs) if self.bias is None else self.bias * (scales * layer.sig.input.scale)
        return Parameters(self.codes * self.scales[:, None], bias)


@dataclass(frozen=True, eq=False)
class NewBias:
    """A layer with its own weights and another bias: int32 (outputs,)."""

    bias: Array

    def parameters(self, layer: Layer) -> Parameters:
        return Parameters(layer.own.weights, self.bias * _bias_steps(layer))


def windows_of(layer: Layer, x: Array, limit: int = COLUMNS) -> Array:
    """float32 (groups, products, columns): what each output's weights are multiplied with, at places spread evenly.

    Args:
        x: (samples, *shape).
    """
    op = layer.op
    if isinstance(op, FullyConnected):
        rows = x.reshape(-1, x.shape[-1])
        return np.ascontiguousarray(rows[spread(len(rows), limit)].T[None])
    images = x.reshape(-1, *x.shape[-3:])
    window = op.window(layer.sig.input, layer.sig.inputs[1])
    (rows, columns), (across, down) = window.kernel, window.stride[::-1]
    padded = window.pad(images, 0)
    view = np.lib.stride_tricks.sliding_window_view(padded, window.extent, axis=(1, 2))
    view = view[:, ::down, ::across, :, :: window.dilation[0], :: window.dilation[1]]
    places = view.shape[:3]
    chosen = spread(int(np.prod(places)), limit)
    found = view[np.unravel_index(chosen, places)]  # (columns, channels, kernel rows, kernel columns)
    groups, depth = layer.groups, found.shape[1] // layer.groups
    found = found.reshape(len(chosen), groups, depth, rows, columns).transpose(1, 3, 4, 2, 0)
    return np.ascontiguousarray(found).reshape(groups, rows * columns * depth, len(chosen))


def spread(total: int, count: int) -> Array:
    """int64: `count` numbers below `total` at most, evenly spread."""
    return np.arange(total) if total <= count else np.linspace(0, total - 1, count).astype(np.int64)


def _bias_steps(layer: Layer) -> Array:
    """float64 (outputs,): what a step of the model's own bias is."""
    return layer.weight_scales * layer.sig.input.scale


@dataclass(frozen=True, eq=False)
class Operands:
    """Statistics of a layer's operands.

    Attributes:
        mean: float64 (groups, products). moment: float32 (groups, products, products), of what differs from the mean.
        columns: how many were looked at.
    """

    mean: Array
    moment: Array
    columns: int

    @staticmethod
    def of(windows: Array) -> Operands:
        mean = windows.mean(axis=2, dtype=np.float64)
        centred = windows - mean[..., None].astype(np.float32)
        count = windows.shape[2]
        return Operands(mean, centred @ centred.swapaxes(1, 2) / np.float32(count), count)


def means(layer: Layer, weights: Array, mean: Array) -> Array:
    """float64 (outputs,): each output's products with the mean operands (groups, products), summed up."""
    rows = weights.astype(np.float64).reshape(len(mean), -1, mean.shape[1])
    return np.einsum("gok,gk->go", rows, mean).ravel()


def rows_of(layer: Layer) -> Array:
    """float32 (groups, outputs of each, products): a layer's own weights, as `fit_weights` takes them."""
    return layer.own.weights.reshape(layer.groups, -1, layer.own.weights.shape[1])


def damping_of(operands: Operands) -> float:
    """Of few columns the moment isn't sure."""
    return max(DAMPING, operands.mean.shape[1] / operands.columns)


def low_bits(
    layer: Layer, operands: Operands, bits: int, wanted: Array, *, method: WeightMethod = "learned"
) -> LowBits:
    """Codes and scales for a layer's weights.

    Args:
        wanted: float64 (outputs,): the mean of each result, before it saturates.
    """
    found = fit_weights(rows_of(layer), operands.moment, bits, method=method, damping=damping_of(operands))
    codes, scales = found.codes.reshape(layer.outputs, -1), found.scales.reshape(layer.outputs)
    bias = None
    if layer.has_bias:
        missing = wanted - means(layer, codes * scales[:, None], operands.mean)
        bias = rounded_bias(missing / (scales.astype(np.float64) * layer.sig.input.scale))
    return LowBits(bits, codes, scales, bias, found.noise)


def rounded_bias(bias: Array) -> Array:
    """int32 of a bias in its steps."""
    limits = np.iinfo(np.int32)
    return np.clip(np.rint(bias), limits.min, limits.max).astype(np.int32)


def fitted_in_order(
    network: Network,
    inputs: Mapping[str, Array],
    bits: Mapping[str, int],
    method: WeightMethod = "learned",
) -> dict[str, LowBits | NewBias]:
    """All layers that have few bits, and the biases of the others behind them.

    Args:
        inputs: as `Network.inputs` makes them.
        bits: by layer; those that aren't named keep their weights.
    """
    ours, own = dict(inputs), dict(inputs)
    found = dict[str, LowBits | NewBias]()
    differs = set[str]()
    for node in network.stepped(ours, own):
        layer = network.layers.get(node.name)
        made: LowBits | NewBias | None = None
        if layer is not None and (layer.name in bits or (layer.operand in differs and layer.has_bias)):
            windows = windows_of(layer, ours[layer.operand])
            wanted = means(
                layer, layer.own.weights, windows_of(layer, own[layer.operand]).mean(axis=2, dtype=np.float64)
            )
            wanted = wanted + layer.own.bias
            if layer.name in bits:
                step(f"fitting {layer.name} to {bits[layer.name]} bits")
                made = low_bits(layer, Operands.of(windows), bits[layer.name], wanted, method=method)
            else:
                missing = wanted - means(layer, layer.own.weights, windows.mean(axis=2, dtype=np.float64))
                made = NewBias(rounded_bias(missing / _bias_steps(layer)))
            found[layer.name] = made
        results = network.compute(node, own, None, rounded=True)
        own.update(zip(node.outputs, results, strict=True))
        if made is None and not differs.intersection(node.inputs):
            ours.update(zip(node.outputs, results, strict=True))
            continue
        differs.update(node.outputs)
        given = made.parameters(layer) if made is not None and layer is not None else None
        ours.update(zip(node.outputs, network.compute(node, ours, given, rounded=True), strict=True))
    return found

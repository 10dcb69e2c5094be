"""Weights of few bits for the layers of an int8 network: what operands say of a layer, and layers fitted in order.

Each layer is fitted to the operands that it gets behind layers that have few bits already; its bias makes up for what
is left on average, of its own weights and of all in front. Layers that keep 8 bits get such biases as well. Those that
lose input channels are fitted to weights of least squares first, which make up for these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.network import Layer, Network, Parameters
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.progress import step
from tinycompile.quantize.clusters import cluster_weights
from tinycompile.quantize.low_bits import DAMPING, WeightMethod, fit_weights

COLUMNS = 8192
"""Windows at most from which a layer's statistics are taken."""
LARGEST_DEPTH = 2304
"""Products of an output from which on operands' moments aren't inverted."""
LEAST_POWER = 1e-30
_HOLD = 0.1
"""Of `damping_of` few columns: with it samples that the fit hasn't seen lose least."""


@dataclass(frozen=True, eq=False)
class LowBits:
    """A layer with few bits, or with 8 and without some channels, as a file has it.

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


@dataclass(frozen=True, eq=False)
class Columns:
    """What each output's weights are multiplied with, at places of the results that are spread evenly.

    Attributes:
        taps: for each place in a window float32 (columns, channels), 0 outside of the image.
    """

    layer: Layer
    taps: list[Array]

    @staticmethod
    def of(layer: Layer, x: Array, limit: int = COLUMNS) -> Columns:
        """Args: x: (samples, *shape)."""
        op = layer.op
        if layer.by_rows or isinstance(op, FullyConnected):
            rows = x.reshape(-1, x.shape[-1])
            return Columns(layer, [rows[spread(len(rows), limit)]])
        images = x.reshape(-1, *x.shape[-3:])
        window = op.window(layer.sig.input, layer.sig.inputs[1])
        height, width = images.shape[1:3]
        places = (len(images), *layer.sig.output.shape[1:3])
        image, y, x_ = np.unravel_index(spread(int(np.prod(places)), limit), places)
        top, _, left, _ = op.padding
        taps = list[Array]()
        for row, column in np.ndindex(*window.kernel):
            down = y * window.stride[0] - top + row * window.dilation[0]
            across = x_ * window.stride[1] - left + column * window.dilation[1]
            inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
            found = images[image, np.clip(down, 0, height - 1), np.clip(across, 0, width - 1)]
            found[~inside] = 0
            taps.append(found)
        return Columns(layer, taps)

    @property
    def windows(self) -> Array:
        """float32 (groups, products, columns)."""
        groups, columns = self.layer.groups, len(self.taps[0])
        found = np.stack([tap.T for tap in self.taps])  # (places, channels, columns)
        by_group = found.reshape(len(self.taps), groups, -1, columns).swapaxes(0, 1)
        return np.ascontiguousarray(by_group).reshape(groups, -1, columns)

    @property
    def mean(self) -> Array:
        """float64 (groups, products): of the columns."""
        found = np.stack([tap.mean(axis=0, dtype=np.float64) for tap in self.taps])
        by_group = found.reshape(len(self.taps), self.layer.groups, -1).swapaxes(0, 1)
        return np.ascontiguousarray(by_group).reshape(self.layer.groups, -1)


def windows_of(layer: Layer, x: Array, limit: int = COLUMNS) -> Array:
    """`Columns.windows` of an operand (samples, *shape)."""
    return Columns.of(layer, x, limit).windows


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


def hold_of(operands: Operands) -> float:
    """How strongly weights of least squares hold on to what they were, as a part of an operand's mean power."""
    return max(DAMPING, _HOLD * operands.mean.shape[1] / operands.columns)


def reconstructed(layer: Layer, given: Operands, cross: Array, gone: Array) -> Array:
    """float32 (outputs, products): weights without some input channels, whose results are nearest to what is wanted.

    Least squares that hold on to the layer's own weights as far as operands say little.

    Args:
        given: operands in a network whose layers in front have changed already, of one group.
        cross: float64 (outputs, products), the mean of what is wanted times these operands, both without their means.
        gone: channels that are removed.
    """
    own = rows_of(layer)[0].astype(np.float64)
    products: Array = np.arange(int(own.shape[1]))
    kept = ~np.isin(products % layer.sig.input.shape[-1], gone)
    weights = np.zeros_like(own)
    if own.shape[1] > LARGEST_DEPTH:
        weights[:, kept] = own[:, kept]
        return weights.astype(np.float32)
    moment = given.moment[0].astype(np.float64)
    strength = hold_of(given) * max(float(moment.trace()) / len(moment), LEAST_POWER)
    moment, hold = moment[np.ix_(kept, kept)], strength * np.eye(int(kept.sum()))
    wanted: Array = cross[:, kept] + own[:, kept] @ hold
    flat: Array = moment + hold
    solved = np.linalg.solve(flat, wanted.transpose())
    weights[:, kept] = np.swapaxes(solved, 0, 1)
    return weights.astype(np.float32)


def low_bits(
    layer: Layer, operands: Operands, bits: int, wanted: Array, *, method: WeightMethod = "learned"
) -> LowBits:
    """Codes and scales for a layer's weights.

    Args:
        wanted: float64 (outputs,): the mean of each result, before it saturates.
    """
    found = fit_weights(rows_of(layer), operands.moment, bits, method=method, damping=damping_of(operands))
    codes, scales = found.codes.reshape(layer.outputs, -1), found.scales.reshape(layer.outputs)
    return LowBits(bits, codes, scales, _bias_for(layer, operands, codes, scales, wanted), found.noise)


def few_values(layer: Layer, operands: Operands, number: int, wanted: Array) -> LowBits:
    """8 bits, but so many different codes at most.

    Args:
        wanted: as for `low_bits`.
    """
    rows = rows_of(layer)
    own = layer.weight_scales.astype(np.float32).reshape(rows.shape[:2])
    found = cluster_weights(rows, own, operands.moment, number, damping_of(operands))
    codes, scales = found.codes.reshape(layer.outputs, -1), found.scales.reshape(layer.outputs)
    return LowBits(8, codes, scales, _bias_for(layer, operands, codes, scales, wanted), found.noise)


def _bias_for(layer: Layer, operands: Operands, codes: Array, scales: Array, wanted: Array) -> Array | None:
    """int32: what makes the means of results those wanted; None for a layer without a bias."""
    if not layer.has_bias:
        return None
    missing = wanted - means(layer, codes * scales[:, None], operands.mean)
    return rounded_bias(missing / (scales.astype(np.float64) * layer.sig.input.scale))


def rounded_bias(bias: Array) -> Array:
    """int32 of a bias in its steps."""
    limits = np.iinfo(np.int32)
    return np.clip(np.rint(bias), limits.min, limits.max).astype(np.int32)


def fitted_in_order(
    network: Network,
    inputs: Mapping[str, Array],
    bits: Mapping[str, int],
    method: WeightMethod = "learned",
    gone: Mapping[str, Array] | None = None,
    clusters: Mapping[str, int] | None = None,
) -> dict[str, LowBits | NewBias]:
    """All layers that have few bits or lose channels, and the biases of the others behind them.

    Args:
        inputs: as `Network.inputs` makes them.
        bits: by layer; those that aren't named keep their weights.
        gone: by layer, input channels that it is to do without.
        clusters: by layer, how many different weights it may have, with 8 bits.
    """
    gone, clusters = gone or {}, clusters or {}
    named = {*bits, *gone, *clusters}
    changed = (i for i, node in enumerate(network.graph.nodes) if node.name in named)
    first = next(changed, len(network.graph.nodes))
    own = network.before(first, inputs, {}, rounded=True)
    ours = dict(own)
    found = dict[str, LowBits | NewBias]()
    differs = set[str]()
    for node in network.stepped(ours, own, first=first):
        layer = network.layers.get(node.name)
        made: LowBits | NewBias | None = None
        if layer is not None and layer.name in gone:
            given, wanted = ours[layer.operand], own[layer.operand]
            made = _without_channels(layer, given, wanted, gone[layer.name], bits.get(layer.name, 8), method)
        elif layer is not None and layer.name in clusters:
            made = _clustered(layer, ours[layer.operand], own[layer.operand], clusters[layer.name])
        elif layer is not None and (layer.name in bits or (layer.operand in differs and layer.has_bias)):
            made = _made(layer, ours[layer.operand], own[layer.operand], bits.get(layer.name), method)
        if made is not None:
            found[node.name] = made
        results = network.compute(node, own, None, rounded=True)
        own.update(zip(node.outputs, results, strict=True))
        if made is None and not differs.intersection(node.inputs):
            ours.update(zip(node.outputs, results, strict=True))
            continue
        differs.update(node.outputs)
        given = made.parameters(layer) if made is not None and layer is not None else None
        ours.update(zip(node.outputs, network.compute(node, ours, given, rounded=True), strict=True))
    return found


def _clustered(layer: Layer, given: Array, wanted: Array, number: int) -> LowBits:
    """As `_made`, of a layer with so many different weights."""
    step(f"fitting {layer.name} to {number} values")
    operands = Operands.of(windows_of(layer, given))
    mean = means(layer, layer.own.weights, Columns.of(layer, wanted).mean) + layer.own.bias
    return few_values(layer, operands, number, mean)


def _made(layer: Layer, given: Array, wanted: Array, bits: int | None, method: WeightMethod) -> LowBits | NewBias:
    """A layer with few bits, or with another bias alone.

    Args:
        given: its operand. wanted: the same in the network as it was.
        bits: None to keep its weights.
    """
    columns = Columns.of(layer, given)
    mean = means(layer, layer.own.weights, Columns.of(layer, wanted).mean) + layer.own.bias
    if bits is not None:
        step(f"fitting {layer.name} to {bits} bits")
        return low_bits(layer, Operands.of(columns.windows), bits, mean, method=method)
    missing = mean - means(layer, layer.own.weights, columns.mean)
    return NewBias(rounded_bias(missing / _bias_steps(layer)))


def _without_channels(
    layer: Layer, given: Array, wanted: Array, gone: Array, bits: int, method: WeightMethod
) -> LowBits:
    """As `_made`, of a layer that does without some input channels: their weights are exactly 0."""
    step(f"fitting {layer.name} to {layer.sig.input.shape[-1] - gone.size} channels and {bits} bits")
    without = given.copy()
    without[..., gone] = 0
    windows, before = windows_of(layer, without), windows_of(layer, wanted)
    operands, own_mean = Operands.of(windows), before.mean(axis=2, dtype=np.float64)
    mean = means(layer, layer.own.weights, own_mean) + layer.own.bias
    results = layer.own.weights @ (before[0] - own_mean[0][:, None].astype(np.float32))
    centred = windows[0] - operands.mean[0][:, None].astype(np.float32)
    cross = (results @ centred.swapaxes(0, 1)).astype(np.float64) / windows.shape[2]
    weights = reconstructed(layer, operands, cross, gone)
    return low_bits(replace(layer, own=Parameters(weights, layer.own.bias)), operands, bits, mean, method=method)

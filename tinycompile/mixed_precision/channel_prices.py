"""What layers cost without some of the channels that they read and make.

The compiler's kernels are asked for all channels and for the fewest, on both sides; a kernel's bytes and instructions
are nearly linear in either, so that those of the levels between are interpolated. What was chosen is priced again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from tinycompile.ir import Array, Site, TensorType
from tinycompile.mixed_precision.channel_classes import Channels
from tinycompile.mixed_precision.choice import Alternative, Choice, sensible
from tinycompile.mixed_precision.network import Layer, Network, weight_axis
from tinycompile.mixed_precision.prices import nearest, priced, site_with
from tinycompile.passes.eliminate_channels import cut_quant, cut_rule
from tinycompile.targets.core import Core


def alternatives_without(
    network: Network,
    layers: Sequence[str],
    widths: Sequence[int],
    core: Core,
    channels: Channels,
    kept: Mapping[str, Sequence[int]],
    *,
    with_code: bool = False,
) -> dict[str, list[Alternative]]:
    """As `prices.alternatives`, for every level of the channels that a layer reads and makes; of all layers with any.

    Args:
        layers: those that may have few bits.
        kept: by class, how many channels each level has, all of them first.
    """
    found = dict[str, list[Alternative]]()
    for name, layer in network.layers.items():
        if name not in layers and name not in channels.reads and name not in channels.makes:
            continue
        every = (8, *(widths if name in layers else ()))
        each = [a for bits in every for a in _at_all_levels(network, layer, bits, core, channels, kept)]
        found[name] = sensible(each, with_code=with_code)
    return found


class ExactPrices:
    """Bytes and instructions that kernels say for the channels that a choice leaves; each layer is asked for once."""

    def __init__(self, network: Network, core: Core, channels: Channels, kept: Mapping[str, Sequence[int]]) -> None:
        """Args: as for `alternatives_without`."""
        self._network, self._core, self._channels, self._kept = network, core, channels, kept
        self._known = dict[tuple[str, int, int, int], list[Alternative]]()

    def of(self, choice: Choice) -> Choice:
        """A choice with the prices of its kernels in place of interpolated ones."""
        found = dict[str, Alternative]()
        for name, chosen in choice.chosen.items():
            same = [price for price in self._prices(name, chosen) if price.kernel == chosen.kernel]
            exact = min(same, key=lambda price: abs(price.bytes - chosen.bytes), default=chosen)
            found[name] = replace(exact, loss=chosen.loss, reads=chosen.reads, makes=chosen.makes)
        return replace(choice, chosen=found)

    def _prices(self, name: str, chosen: Alternative) -> list[Alternative]:
        key = name, chosen.bits, chosen.reads, chosen.makes
        if key not in self._known:
            layer, groups = self._network.layers[name], (self._channels.reads, self._channels.makes)
            reads, makes = (
                self._kept[group[name]][level] if name in group else None
                for group, level in zip(groups, (chosen.reads, chosen.makes), strict=True)
            )
            site = cut_site(_site(self._network, layer, chosen.bits), layer, reads, makes)
            self._known[key] = priced(site, self._core, chosen.bits)
        return self._known[key]


def _site(network: Network, layer: Layer, bits: int) -> Site:
    """The layer with weights of so many bits."""
    return network.graph.site(layer.node) if bits == 8 else site_with(network.graph, layer, nearest(layer, bits))


def _at_all_levels(
    network: Network,
    layer: Layer,
    bits: int,
    core: Core,
    channels: Channels,
    kept: Mapping[str, Sequence[int]],
) -> Iterator[Alternative]:
    """With so many bits."""
    site = _site(network, layer, bits)
    read, made = (kept.get(group.get(layer.name, ""), ()) for group in (channels.reads, channels.makes))
    if layer.is_depthwise:  # its channels are one class
        corners = [[priced(cut_site(site, layer, count, count), core, bits)] for count in _ends(read)]
        levels = [(level, level) for level in range(max(1, len(read)))]
    else:
        corners = [[priced(cut_site(site, layer, r, m), core, bits) for m in _ends(made)] for r in _ends(read)]
        levels = [(i, j) for i in range(max(1, len(read))) for j in range(max(1, len(made)))]
    for place, kernel in enumerate(corners[0][0]):
        same = [[_of_kernel(prices, kernel.kernel, place) for prices in row] for row in corners]
        if any(price is None for row in same for price in row):
            continue
        numbers = np.array([[(p.bytes, p.instructions) for p in row if p is not None] for row in same], np.float64)
        for reads, makes in levels:
            size, work = _between(numbers, _part(read, reads), _part(made, makes))
            counts = [group[level] for group, level in ((read, reads), (made, makes)) if level]
            function = f"{kernel.function} {counts}" if counts and kernel.function else kernel.function
            yield replace(kernel, bytes=size, instructions=work, function=function, reads=reads, makes=makes)


def _ends(counts: Sequence[int]) -> list[int | None]:
    """The most and the fewest; None where the channels can't go."""
    return [counts[0], counts[-1]] if counts else [None]


def _part(counts: Sequence[int], level: int) -> float:
    """How far a level is from the most to the fewest channels."""
    return (counts[0] - counts[level]) / (counts[0] - counts[-1]) if level else 0.0


def _of_kernel(prices: Sequence[Alternative], name: str, place: int) -> Alternative | None:
    """A kernel of this name, of several the one at that place."""
    if place < len(prices) and prices[place].kernel == name:
        return prices[place]
    return next((price for price in prices if price.kernel == name), None)


def _between(numbers: Array, reads: float, makes: float) -> tuple[int, int]:
    """Bytes and instructions between the corners.

    Args:
        numbers: (1 or 2 for operands, 1 or 2 for results, 2).
    """
    rows = numbers[0] + (numbers[-1] - numbers[0]) * reads
    size, work = (rows[0] + (rows[-1] - rows[0]) * makes).tolist()
    return round(size), round(work)


def cut_site(site: Site, layer: Layer, reads: int | None, makes: int | None) -> Site:
    """The layer with the first channels of its operand and of its result; None for all of them."""
    op, sig, axis = site.node.op, site.sig, weight_axis(site.node.op)
    outputs = np.arange(layer.outputs if makes is None else makes)
    inputs = sig.input.shape[-1] if reads is None else reads
    weights = np.take(site.constant(1), outputs, axis=axis)
    weights = weights if layer.is_depthwise else weights[..., :inputs]
    constants = [np.ascontiguousarray(weights), *(cast(Array, bias)[outputs] for bias in site.constants[2:])]
    types = [_cut_type(t, c.shape, outputs) for t, c in zip(sig.inputs[1:], constants, strict=True)]
    x = replace(sig.input, shape=(*sig.input.shape[:-1], inputs))
    result = replace(sig.output, shape=(*sig.output.shape[:-1], outputs.size))
    node = replace(site.node, op=cut_rule(op, outputs))
    sig = replace(sig, inputs=(x, *types), outputs=(result,))
    return replace(site, node=node, sig=sig, constants=(site.constants[0], *constants))


def _cut_type(t: TensorType, shape: tuple[int, ...], outputs: Array) -> TensorType:
    return replace(t, shape=shape, quant=cut_quant(t.quant, outputs))

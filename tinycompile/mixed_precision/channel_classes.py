"""Which channels of an int8 network can be removed: classes of values whose channels go together.

What makes a channel superfluous is that no layer reads it. So removing one sets the weights to zero that layers
multiply it with, and the pass that eliminates constant and unread channels (`passes/eliminate_channels.py`) takes it
out of every layer that makes it, in the same places as it does for any other model: through residual sums, depthwise
convolutions and pools, which are what its classes of values come from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tinycompile.ir import Array
from tinycompile.mixed_precision.network import Network
from tinycompile.passes.eliminate_channels import Links, is_matrix, maps_channels

LEAST_CHANNELS = 8
"""Of values whose channels may go: of fewer, each counts."""


@dataclass(frozen=True, eq=False)
class ChannelClass:
    """Values whose channels correspond one to one, so that one goes from all of them or from none.

    Attributes:
        name: of the value that its first layer makes.
        width: channels.
        makers: names of the layers whose output channels these are, depthwise convolutions included.
        readers: names of the layers that mix these channels.
    """

    name: str
    width: int
    makers: list[str] = field(default_factory=list[str])
    readers: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, eq=False)
class Channels:
    """All classes of a network whose channels can go.

    Attributes:
        classes: by name. reads, makes: the class of a layer's operand and of its result, where there is one.
    """

    classes: dict[str, ChannelClass]
    reads: dict[str, str]
    makes: dict[str, str]


@dataclass(frozen=True, eq=False)
class Removed:
    """Channels that are removed, by layer.

    Attributes:
        reads: int64, channels that a layer mixes, and does without. makes: output channels that nobody reads then.
    """

    reads: dict[str, Array] = field(default_factory=dict[str, Array])
    makes: dict[str, Array] = field(default_factory=dict[str, Array])

    def __bool__(self) -> bool:
        return bool(self.reads)

    @staticmethod
    def of(channels: Channels, gone: Mapping[str, Array]) -> Removed:
        """Args: gone: channels by class."""
        found = Removed()
        for name, numbers in gone.items():
            if numbers.size:
                found.reads.update(dict.fromkeys(channels.classes[name].readers, numbers))
                found.makes.update(dict.fromkeys(channels.classes[name].makers, numbers))
        return found


def channels_of(network: Network, rewritable: Collection[str]) -> Channels:
    """The classes whose values layers alone make and read.

    Args:
        rewritable: names of layers that can be given other weights and biases.
    """
    graph, links = network.graph, Links(network.graph)
    fixed = {links.of(name) for name in (*graph.given, *graph.results)}
    found = dict[str, ChannelClass]()
    reads, makes = dict[str, str](), dict[str, str]()
    for node in graph.nodes:
        matrix, layer = is_matrix(graph, node), network.layers.get(node.name)
        if not (matrix or maps_channels(graph, node)):
            fixed.update(links.of(name) for name in (*node.inputs, *node.outputs))
            continue
        root, result = links.of(node.inputs[0]), links.of(node.outputs[0])
        if matrix and (layer is None or node.name not in rewritable or not layer.has_bias):
            fixed.add(root)  # nothing could take over what the channels are on average
        if layer is not None:
            reads[node.name], makes[node.name] = root, result
            known = found.setdefault(result, ChannelClass(node.outputs[0], graph.types[node.outputs[0]].shape[-1]))
            known.makers.append(node.name)
            if matrix and root in found:
                found[root].readers.append(node.name)
    names = {
        root: each.name
        for root, each in found.items()
        if root not in fixed and each.readers and each.width >= LEAST_CHANNELS
    }
    return Channels(
        {names[root]: found[root] for root in names},
        {layer: names[root] for layer, root in reads.items() if root in names},
        {layer: names[root] for layer, root in makes.items() if root in names},
    )


__all__ = ["LEAST_CHANNELS", "ChannelClass", "Channels", "Removed", "channels_of"]

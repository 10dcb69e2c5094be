"""A model without the channels that stay constant whatever is learned (`passes.eliminate_channels`).

Where weights and bias clamp a channel for any input, its gradient is 0, and neither ever changes: a ReLU that is dead
stays dead. Inference builds compute no such channels; with this pass training builds don't either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array, Graph, Node
from tinycompile.numerics.block_floating import BIAS_LIMIT
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.passes.channel_facts import Scheme, Trained
from tinycompile.passes.eliminate_channels import eliminate_untrainable


@dataclass(frozen=True, eq=False)
class Learnable:
    """Attributes:
    graph: what is left of a model. scheme: of it; `conv5:0.25` is of the channels that the model has.
    kept: the channels that are left of each value that has fewer, by its name.
    """

    graph: Graph
    scheme: Scheme
    kept: Mapping[str, Array]

    @staticmethod
    def of(graph: Graph, scheme: Scheme) -> Learnable:
        """Of a model before its training step is made; the whole model where nothing can go."""
        smaller, kept = eliminate_untrainable(graph, scheme)
        nodes = {node.name: node for node in smaller.nodes}
        if not kept or not all(_has_room(smaller, nodes[name]) for name in scheme if name in nodes):
            return Learnable(graph, scheme, {})
        left = {name: _of_kept(own, nodes[name], kept) for name, own in scheme.items() if name in nodes}
        return Learnable(smaller, {name: own for name, own in left.items() if own != Trained()}, kept)

    def whole(self, plain: Graph, layer: str, operand: int, values: Array) -> Array:
        """Weights (operand 1) or bias (2) of a layer as `plain`, the model before, has them, with those that were
        learned in their places.
        """
        node, own = (next(n for n in g.nodes if n.name == layer) for g in (plain, self.graph))
        if own.inputs[operand : operand + 1] == node.inputs[operand : operand + 1]:
            return values
        outputs, inputs = (self.kept.get(name, slice(None)) for name in (node.outputs[0], node.inputs[0]))
        found: Array = plain.constants[node.inputs[operand]].copy()
        if operand == 2:
            found[outputs] += values - self.graph.constants[own.inputs[2]]  # constants that it took over aren't its own
        elif isinstance(node.op, DepthwiseConv2D):
            found[..., outputs] = values
        else:
            part = found[outputs]
            part[..., inputs] = values
            found[outputs] = part
        return found


def _has_room(graph: Graph, node: Node) -> bool:
    """Whether a bias that took constants over can still be trained."""
    return all(np.abs(graph.constants[name].astype(np.int64)).max(initial=0) <= BIAS_LIMIT for name in node.inputs[2:])


def _of_kept(trained: Trained, node: Node, kept: Mapping[str, Array]) -> Trained:
    """Of a layer of which some channels are left."""
    channels = kept.get(node.inputs[0])
    if not trained.weights or channels is None:
        return trained
    left = int((channels < trained.weights).sum())
    return replace(trained, weights=None if left == channels.size else left)

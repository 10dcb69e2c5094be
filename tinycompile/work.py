"""How much a graph computes, layer by layer: what the passes saved is the difference of two graphs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from tinycompile.ir import Graph


@dataclass(frozen=True)
class Work:
    """Of layers with weights.

    Attributes:
        channels: output channels. macs: nominal multiply-accumulates. weight_bytes: as in the model, unpacked.
    """

    channels: int = 0
    macs: int = 0
    weight_bytes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.channels + other.channels, self.macs + other.macs, self.weight_bytes + other.weight_bytes)

    def __sub__(self, other: Work) -> Work:
        return Work(self.channels - other.channels, self.macs - other.macs, self.weight_bytes - other.weight_bytes)

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def work_of(graph: Graph, trained: Collection[str] = ()) -> dict[str, Work]:
    """Work by the name of the node; nodes without multiply-accumulates are left out.

    Args:
        trained: nodes whose weights aren't constants.
    """
    return {
        node.name: Work(
            channels=graph.signature(node).output.shape[-1],
            macs=macs,
            weight_bytes=sum(
                graph.types[name].bytes for name in node.inputs[1:2] if name in graph.constants or node.name in trained
            ),
        )
        for node in graph.nodes
        if (macs := node.op.macs(graph.signature(node)))
    }


def node_macs(graph: Graph) -> list[int]:
    """Multiply-accumulates of each node."""
    return [node.op.macs(graph.signature(node)) for node in graph.nodes]


def total(works: dict[str, Work]) -> Work:
    """Of a whole graph."""
    return sum(works.values(), Work())

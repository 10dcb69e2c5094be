"""Graph passes."""

from __future__ import annotations

from tinycompile.ir import Graph, verify


def optimize(graph: Graph) -> tuple[Graph, dict[str, object]]:
    verify(graph)
    return graph.without_dead(), {}

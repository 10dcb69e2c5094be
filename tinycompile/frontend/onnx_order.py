"""Nodes behind those whose results they read: ONNX demands it, and some tools write them as they come."""

from __future__ import annotations

from typing import Any


def sort_nodes(graph: Any) -> None:
    """Puts every node behind those that it needs, else in the file's order; as onnxruntime does before it runs a graph.

    Nodes of a circle, and those behind it, stay at the end in the file's order: the checker names them.
    """
    nodes = list(graph.node)
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = [{producer[name] for name in _read(node) if name in producer} for node in nodes]
    if all(index > max(before, default=-1) for index, before in enumerate(needs)):
        return
    order, placed, waiting = list[int](), set[int](), list(range(len(nodes)))
    for start in waiting:
        # What a node needs comes right in front of it: depth first, without recursion.
        path, entered = [start], set[int]()
        while path:
            index = path[-1]
            missing = [n for n in sorted(needs[index]) if n not in placed]
            if index in placed or not missing:
                path.pop()
                if index not in placed:
                    placed.add(index)
                    order.append(index)
            elif index in entered:
                break  # it waits for itself
            else:
                entered.add(index)
                path += reversed(missing)
    order += [index for index in waiting if index not in placed]
    del graph.node[:]
    graph.node.extend(nodes[index] for index in order)


def _read(node: Any) -> list[str]:
    """The values that a node reads, those of its subgraphs among them."""
    found = list(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            found += [name for inner in graph.node for name in _read(inner)]
    return [name for name in found if name]

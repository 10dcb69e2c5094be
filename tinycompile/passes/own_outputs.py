"""Every model output is computed by a node of its own, once."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import Graph, Node, free_name
from tinycompile.ops.identity import Identity


def own_outputs(graph: Graph) -> Graph:
    """Copies for outputs that are an input, a constant, or listed before.

    What comes after may then take for granted that an output has a producer, and that no two outputs, and no input and
    output, are one value: their buffers are the caller's to read and to fill in any order.
    """
    types, sources, added = dict(graph.types), dict(graph.sources), list[Node]()
    node_names = {node.name for node in graph.nodes}
    produced, outputs = set(graph.producers()), list[str]()
    for name in graph.outputs:
        if name not in produced or name in outputs:
            original, name = name, free_name(f"{name}_output", types)
            types[name] = types[original]
            if original in sources:
                sources[name] = sources[original]
            added.append(Node(free_name(name, node_names), Identity(), (original,), (name,)))
            node_names.add(added[-1].name)
        outputs.append(name)
    if not added:
        return graph
    return replace(graph, outputs=tuple(outputs), nodes=(*graph.nodes, *added), types=types, sources=sources)

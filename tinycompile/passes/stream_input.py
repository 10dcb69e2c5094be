"""`--input-stream rows`: the input image comes row by row through a callback and is never whole in memory."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Node
from tinycompile.ops.identity import Identity
from tinycompile.ops.input_rows import InputRows
from tinycompile.ops.transpose import TO_CHANNELS_LAST, Transpose


def stream_input(graph: Graph) -> Graph:
    """The graph with its input as the first node's result.

    Raises:
        UsageError: as `with_rows`.
    """
    graph = with_rows(graph)
    (name,) = graph.inputs
    t = graph.types[name]
    rows = Node(f"{name}/rows", InputRows((1, t.shape[1], t.shape[2], t.shape[3]), t.dtype), (), (name,))
    return replace(graph, inputs=(), nodes=(rows, *graph.nodes))


def with_rows(graph: Graph) -> Graph:
    """The graph with the input whose rows are given, still whole: with channels last, a TRANSPOSE to that goes.

    Raises:
        UsageError: there are several inputs, or the input isn't an image, or it is an output as well.
    """
    if len(graph.inputs) != 1:
        raise UsageError(
            "--input-stream rows needs a model with one input", where=graph.name, why=f"it has {len(graph.inputs)}"
        )
    (name,) = graph.inputs
    readers = graph.consumers().get(name, [])
    if any(isinstance(reader.op, Identity) for reader in readers):
        raise UsageError(
            "--input-stream rows needs an input that nobody wants whole",
            where=graph.name,
            why=f"input {name!r} is an output as well",
        )
    nodes = graph.nodes
    if len(readers) == 1 and isinstance(readers[0].op, Transpose) and readers[0].op.permutation == TO_CHANNELS_LAST:
        (transpose,) = readers
        nodes = tuple(node for node in nodes if node is not transpose)
        name = transpose.outputs[0]
    t = graph.types[name]
    if len(t.shape) != 4 or t.shape[0] != 1 or t.shape[1] < 2:
        raise UsageError("--input-stream rows needs an image as input", where=graph.name, why=f"the input is {t}")
    gone = set(graph.inputs) - {name}
    types = {n: t for n, t in graph.types.items() if n not in gone}
    sources = {n: source for n, source in graph.sources.items() if n not in gone}
    return replace(graph, inputs=(name,), nodes=nodes, types=types, sources=sources)

"""`--layout nhwc`: images at the edges of a file from PyTorch have channels last, as they have inside.

litert-torch keeps the model's channels first at inputs and outputs: a TRANSPOSE leads in, another one out; a RESHAPE
where it moves nothing. Without them the value behind is the edge itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Node, TensorType
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def channels_last(graph: Graph, where: str) -> Graph:
    """The graph whose inputs and outputs of four axes have channels last.

    Raises:
        UsageError: one of them isn't behind such a transposition.
    """
    for value in dict.fromkeys(graph.inputs):
        if len(graph.types[value].shape) == 4:
            graph = _input(graph, value, where)
    for value in dict.fromkeys(graph.outputs):
        if len(graph.types[value].shape) == 4:
            graph = _output(graph, value, where)
    return graph.without_dead()


def _input(graph: Graph, value: str, where: str) -> Graph:
    """What transposes it becomes the input; a QUANTIZE in between comes behind it."""
    readers = graph.consumers().get(value, [])
    between = readers[0] if len(readers) == 1 and isinstance(readers[0].op, Quantize) else None
    moved = value if between is None else between.outputs[0]
    readers = readers if between is None else graph.consumers().get(moved, [])
    wrong = [node for node in readers if not _moves(graph, node, TO_LAST)]
    if wrong or not readers or {value, moved}.intersection(graph.results):
        raise _refused(graph, value, "input", wrong, where)
    behind = [node.outputs[0] for node in readers]
    graph = _without(graph, readers, dict.fromkeys(behind[1:], behind[0]))
    if between is None:
        return replace(graph, inputs=tuple(behind[0] if name == value else name for name in graph.inputs))
    t = graph.types[value]
    types = {**graph.types, value: TensorType(graph.types[behind[0]].shape, t.dtype, t.quant)}
    sources = {name: source for name, source in graph.sources.items() if name != value}
    nodes = tuple(replace(node, outputs=(behind[0],)) if node.name == between.name else node for node in graph.nodes)
    return replace(graph, types=types, sources=sources, nodes=nodes)


def _output(graph: Graph, value: str, where: str) -> Graph:
    """What is transposed becomes the output; a DEQUANTIZE behind comes before."""
    producers = graph.producers()
    last = producers.get(value)
    between = last if last is not None and isinstance(last.op, Dequantize) else None
    mover = last if between is None else producers.get(between.inputs[0])
    alone = mover is None or between is None or graph.consumers()[between.inputs[0]] == [between]
    inner = mover is not None and between is not None and between.inputs[0] in graph.results
    if mover is None or not _moves(graph, mover, TO_FIRST) or not alone or inner or mover.inputs[0] in graph.given:
        raise _refused(graph, value, "output", [] if last is None else [last], where)
    if graph.consumers().get(value) or graph.outputs.count(value) > 1 or mover.inputs[0] in graph.results:
        raise _refused(graph, value, "output", graph.consumers().get(value, []), where)
    source = mover.inputs[0]
    if between is None:
        graph = _without(graph, [mover], {})
        return replace(graph, outputs=tuple(source if name == value else name for name in graph.outputs))
    t = graph.types[value]
    types = {**graph.types, value: TensorType(graph.types[source].shape, t.dtype, t.quant)}
    sources = {name: each for name, each in graph.sources.items() if name != value}
    nodes = tuple(replace(node, inputs=(source,)) if node.name == between.name else node for node in graph.nodes)
    return _without(replace(graph, types=types, sources=sources, nodes=nodes), [mover], {})


def _moves(graph: Graph, node: Node, permutation: tuple[int, ...]) -> bool:
    """Whether a node does to an image what a TRANSPOSE with this permutation does."""
    x, y = graph.types[node.inputs[0]].shape, graph.types[node.outputs[0]].shape
    if isinstance(node.op, Transpose):
        return node.op.permutation == permutation
    permuted = tuple(x[axis] for axis in permutation) if len(x) == 4 else ()
    still = [axis for axis in permutation if len(x) == 4 and x[axis] != 1]
    return isinstance(node.op, Reshape) and y == permuted and still == sorted(still)


def _without(graph: Graph, gone: Sequence[Node], names: dict[str, str]) -> Graph:
    """The graph without some nodes, with other names of values."""
    dropped = {node.name for node in gone}
    kept = (node for node in graph.nodes if node.name not in dropped)
    nodes = tuple(replace(node, inputs=tuple(names.get(name, name) for name in node.inputs)) for node in kept)
    outputs = tuple(names.get(name, name) for name in graph.outputs)
    return replace(graph, nodes=nodes, outputs=outputs)


def _refused(graph: Graph, value: str, role: str, nodes: Sequence[Node], where: str) -> UsageError:
    t, what = graph.types[value], f"{nodes[0].op.title} {nodes[0].name!r}" if nodes else "no transposition"
    side = "is read by" if role == "input" else "comes from"
    return UsageError(
        f"--layout nhwc: {role} {value!r}, {t}, {side} {what}",
        where=where,
        why="that images have channels first shows in a TRANSPOSE between all of their readers and the edge",
        hint="leave out --layout nhwc: other images of TFLite files have channels last as they are",
    )

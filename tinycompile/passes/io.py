"""Floats at the model's edges: `--io int8` leaves the int8 tensors behind them; outputs that are dequantised last."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.dtypes import FLOAT32, INT8, DType
from tinycompile.ir import Graph, Node, free_name
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose


def int8_io(graph: Graph) -> Graph:
    """Drop QUANTIZE at float inputs and DEQUANTIZE at float outputs where the other side is int8.

    An input that anything else reads, and an output that isn't dequantised, stay as they are. What only moves elements
    behind a DEQUANTIZE, such as channels to the front, moves integers.
    """
    for name in dict.fromkeys(graph.outputs):
        graph = dequantized_last(graph, name, INT8)
    consumers, producers = graph.consumers(), graph.producers()
    inputs = {name: _quantized(graph, name, consumers.get(name, [])) for name in graph.inputs}
    taken = {name for name, _ in inputs.values()}
    outputs = dict[str, str]()
    for name in dict.fromkeys(graph.outputs):
        source = _dequantized(graph, name, producers.get(name))
        outputs[name] = name if source in taken else source
        taken.add(source)
    dropped = {node.name for _, node in inputs.values() if node is not None}
    return replace(
        graph,
        inputs=tuple(name for name, _ in inputs.values()),
        outputs=tuple(outputs[name] for name in graph.outputs),
        nodes=tuple(node for node in graph.nodes if node.name not in dropped),
    ).without_dead()


def _quantized(graph: Graph, name: str, readers: list[Node]) -> tuple[str, Node | None]:
    """The int8 value that replaces an input, and the node that computed it; or the input itself."""
    if len(readers) == 1 and name not in graph.results and graph.types[name].dtype == FLOAT32:
        (reader,) = readers
        if isinstance(reader.op, Quantize) and reader.op.dtype == INT8 and reader.outputs[0] not in graph.results:
            return reader.outputs[0], reader
    return name, None


def _dequantized(graph: Graph, name: str, producer: Node | None) -> str:
    """The int8 value that replaces an output, or the output itself."""
    if producer is None or not isinstance(producer.op, Dequantize):
        return name
    source = producer.inputs[0]
    is_free = source not in {*graph.given, *graph.results, *graph.constants}
    return source if is_free and graph.types[source].dtype == INT8 else name


def dequantized_last(graph: Graph, output: str, dtype: DType | None = None) -> Graph:
    """With an output whose elements are dequantised where they are, not moved afterwards: the same bits.

    Args:
        dtype: of the integers, where no others are meant.
    """
    name, producers, moves = output, graph.producers(), list[Node]()
    while (node := producers.get(name)) is not None and isinstance(node.op, Transpose | Reshape):
        moves.insert(0, node)
        name = node.inputs[0]
    if not moves or node is None or not isinstance(node.op, Dequantize) or graph.consumers().get(output):
        return graph
    (value,), types, added = node.inputs, dict(graph.types), list[Node]()
    if dtype is not None and types[value].dtype != dtype:
        return graph
    names = {n.name for n in graph.nodes}
    for move in moves:
        moved = free_name(f"{move.outputs[0]}_integers", types)
        types[moved] = replace(types[value], shape=types[move.outputs[0]].shape)
        own = move.name if move is moves[-1] else free_name(f"{move.name}_integers", names)
        names.add(own)
        added.append(replace(move, name=own, inputs=(value,), outputs=(moved,)))
        value = moved
    last = replace(node, name=free_name(f"{node.name}_last", names), inputs=(value,), outputs=(output,))
    others = (other for other in graph.nodes if other is not moves[-1])
    return replace(graph, nodes=(*others, *added, last), types=types).without_dead()

"""`--io int8`: the model's float inputs and outputs become the int8 tensors behind them."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Graph, Node
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize


def int8_io(graph: Graph) -> Graph:
    """Drop QUANTIZE at float inputs and DEQUANTIZE at float outputs where the other side is int8.

    An input that anything else reads, and an output that isn't dequantised, stay as they are.
    """
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

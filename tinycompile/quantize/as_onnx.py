"""A graph of floats, as the TFLite importer makes it, as an ONNX model in memory: what calibration works on."""

from __future__ import annotations

from math import prod
from typing import Any

from tinycompile.dtypes import BOOL, FLOAT32, INT32, INT64
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Graph, Node, Signature, TensorType
from tinycompile.passes.fold_pad import fold_pad
from tinycompile.quantize import as_onnx_choices, as_onnx_layers, as_onnx_moves
from tinycompile.quantize.as_onnx_writer import EXPORTS, Writer

FAMILIES = (as_onnx_choices, as_onnx_layers, as_onnx_moves)
"""Each registers how its operators are written when it is imported."""

TYPES = (FLOAT32, INT32, INT64, BOOL)
"""Of values; what isn't float stays as it is."""


def as_onnx(graph: Graph, where: str) -> Any:
    """The ModelProto of a graph of floats. Weights of layers may be integers with scales: they are dequantised.

    Args:
        where: the file, for messages.

    Raises:
        UsageError: a model that is quantised already.
        UnsupportedError: all operators and inputs that calibration has no form for, at once.
    """
    values = {name: t for name, t in graph.types.items() if name not in graph.constants}
    if any(t.quant is not None for t in values.values()):
        raise UsageError(
            "the model is quantised already",
            where=where,
            hint="build it without --calib; `quantize --bits auto` gives its layers fewer bits",
        )
    problems = [
        (f"input {name!r}", f"it is {values[name].dtype}, --calib takes {', '.join(map(str, TYPES))}")
        for name in graph.inputs
        if values[name].dtype not in TYPES
    ]
    graph = fold_pad(graph)
    writer = Writer(graph)
    for node in graph.nodes:
        sig = graph.signature(node)
        try:
            _write(writer, node, sig)
        except Rejected as rejected:
            problems.append((f"{node.op.title} {node.name!r}", str(rejected)))
            for index in range(len(node.outputs)):
                writer.result(node, index=index)
    if problems:
        raise UnsupportedError(problems, where=where, hint="--dtype float32 compiles the model as it is")
    return writer.model()


def _write(writer: Writer, node: Node, sig: Signature) -> None:
    export = EXPORTS.get(type(node.op))
    others = [t for t in (*sig.outputs, *_dynamic(writer.graph, node)) if t.dtype not in TYPES]
    if export is None or others:
        of = f" of {others[0].dtype}" if others else ""
        raise Rejected(f"--calib has no form for this operator{of}")
    if 0 in map(prod, (t.shape for t in sig.outputs)):
        raise Rejected("it is empty")
    export(writer, node, sig)


def _dynamic(graph: Graph, node: Node) -> list[TensorType]:
    return [graph.types[name] for name in node.inputs if name not in graph.constants]

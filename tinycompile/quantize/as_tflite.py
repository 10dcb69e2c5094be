"""A quantised network as a TFLite file of int8, with TFLite's meaning of every operator.

TFLite rounds otherwise than ONNX: halves away from zero and by products in fixed point, where ONNX has the real number
and halves to even. So the file is a model of its own, which LiteRT defines; its tensors' scales, weights and biases are
those of the quantised ONNX model but for the scales that TFLite demands (`constrained`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32
from tinycompile.errors import FloatIslandWarning, UnsupportedError
from tinycompile.frontend.onnx import expand, import_model
from tinycompile.frontend.onnx_file import static_model
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Graph, TensorType
from tinycompile.ops.quantize import Quantize
from tinycompile.quantize import as_tflite_layers, as_tflite_moves
from tinycompile.quantize.as_tflite_layers import BOUNDS, PROBABILITIES
from tinycompile.quantize.as_tflite_writer import EXPORTS, Writer
from tinycompile.quantize.execution import Sample
from tinycompile.quantize.float_graph import FloatGraph, attributes_of, depthwise
from tinycompile.quantize.qdq import MOVES, Parameters
from tinycompile.quantize.ranges import scale_of

FAMILIES = (as_tflite_layers, as_tflite_moves)
"""Each registers how its operators are written when it is imported."""

_FIXED = {"Softmax": PROBABILITIES, "Sigmoid": PROBABILITIES, "Tanh": (1 / 128, 0)}
"""(scale, zero point) of functions' results in TFLite."""
_AS_OPERAND = ("AveragePool", "GlobalAveragePool", "Resize")
"""Their results have their operand's scale in TFLite."""


def spelled(graph: FloatGraph) -> FloatGraph:
    """The graph without functions that TFLite lacks, where others do the same: a hard sigmoid is a layer, which it has
    before it (`patterns.py`) or gets, and a clamp, of which nothing remains but a range.
    """
    graph = graph.copy()
    helper = onnx_module().helper
    for node in list(graph.nodes):
        shape = graph.shapes.get(node.input[0], ()) if node.op_type == "HardSigmoid" else ()
        if len(shape) < 2:
            continue
        attributes = attributes_of(node)
        scale = np.full(shape[1], attributes.get("alpha", 0.2))
        shift = np.full(shape[1], attributes.get("beta", 0.5))
        layer = depthwise(graph, node.input[0], f"{node.output[0]}_linear", scale, shift)
        ends = [graph.constant(f"{node.output[0]}_end", np.array(end, np.float32)) for end in (0, 1)]
        clip = helper.make_node("Clip", [*layer.output, *ends], list(node.output), name=node.name)
        at = next(i for i, each in enumerate(graph.nodes) if each is node)
        graph.nodes[at : at + 1] = [layer, clip]
    return graph


def constrained(graph: FloatGraph, parameters: Parameters) -> dict[str, tuple[float, int]]:
    """Scales as TFLite's operators need them: to be found before weights and biases are fitted."""
    found, producers = dict(parameters), graph.producers()
    for node in graph.nodes:
        name = node.output[0]
        if name not in found:
            continue
        if node.op_type in _FIXED:
            found[name] = _FIXED[node.op_type]
        elif node.op_type == "Clip":
            found[name] = _within_limits(graph, node, *found[name])
        elif node.op_type == "Concat":
            for operand in node.input:
                if operand in found and graph.only_consumer(operand) is node and producers.get(operand) is not None:
                    found[operand] = found[name]
    for node in graph.nodes:
        if node.op_type in _AS_OPERAND and node.output[0] in found:
            operand = node.input[0]
            while operand not in found and (source := producers.get(operand)) is not None and source.op_type in MOVES:
                operand = source.input[0]
            found[node.output[0]] = found.get(operand, found[node.output[0]])
    return found


def _within_limits(graph: FloatGraph, clip: Any, scale: float, zero_point: int) -> tuple[float, int]:
    """A range that ends where values are clipped, so that numbers saturate there."""
    ends = [graph.constants.get(name) for name in clip.input[1:]]
    low, high = scale * (-128 - zero_point), scale * (127 - zero_point)
    if ends and ends[0] is not None:
        low = max(low, float(ends[0].reshape(())))
    if len(ends) > 1 and ends[1] is not None:
        high = min(high, float(ends[1].reshape(())))
    return scale_of(low, high)


def as_tflite(proto: Any, graph: FloatGraph, where: str, description: str, *, few_bits: bool = False) -> bytes:
    """The file of a quantised ONNX model of 8 bits; inputs and outputs are int8.

    Args:
        proto: as `to_qdq` writes it. graph: what it was made of.
        where: the float model's file, for messages.
        few_bits: weights of convolutions and matrices that fit in INT4 are stored so.

    Raises:
        UnsupportedError: every operator that TFLite hasn't for int8, at once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FloatIslandWarning)
        integers = import_model(static_model(expand(proto, where), where), "model", where, floats="islands")
    writer, problems = Writer(integers, _activations(graph), few_bits), list[tuple[str, str]]()
    for node in integers.nodes:
        try:
            export = EXPORTS.get(type(node.op))
            if export is None:
                raise Rejected("tinycompile writes no TFLite operator for it")
            export(writer, node, integers.signature(node))
        except Rejected as rejected:
            problems.append((f"{node.op.title} {node.name!r}", str(rejected)))
    if not problems:
        try:
            return writer.model(_given(integers), [v.name for v in proto.graph.output], description).content()
        except Rejected as rejected:
            problems.append(("the outputs", str(rejected)))
    raise UnsupportedError(problems, where=where, hint="-o model.onnx takes all that tinycompile compiles")


def _activations(graph: FloatGraph) -> dict[str, str]:
    """What clamps results, by the names that these have as integers."""
    found = dict[str, str]()
    for node in graph.nodes:
        ends = [graph.constants.get(name) for name in node.input[1:]] if node.op_type == "Clip" else []
        bounds = tuple(float(end.reshape(())) for end in ends if end is not None)
        kinds = [kind for kind, each in BOUNDS.items() if each == bounds]
        kinds += ["RELU"] if node.op_type == "Relu" else []
        found.update({f"{node.output[0]}_quantized": kind for kind in kinds})
    return found


def _given(graph: Graph) -> list[str]:
    """The values that the file's caller gives: inputs, rounded where they are floats."""
    found = list[str]()
    for name in graph.inputs:
        readers = [node for node in graph.nodes if name in node.inputs]
        rounds = [node for node in readers if isinstance(node.op, Quantize)]
        if graph.types[name].dtype != FLOAT32:
            found.append(name)
        elif len(rounds) == 1 == len(readers):
            found.append(rounds[0].outputs[0])
        else:
            raise Rejected(f"input {name!r} isn't rounded to one int8 tensor")
    return found


def outputs_of_tflite(content: bytes, names: Sequence[str], samples: Sequence[Sample]) -> dict[str, Array]:
    """What the file computes, in real numbers: (samples, ...) by the names of its outputs."""
    graph = import_tflite(content, "model", "model")
    inputs = [(name, graph.types[name]) for name in graph.inputs]
    rows = list[list[Array]]()
    for sample in samples:
        found = interpreter.run(graph, {name: _rounded(sample[name], t) for name, t in inputs})
        rows.append([_real(found[name], graph.types[name]) for name in graph.outputs])
    return {name: np.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _rounded(value: Array, t: TensorType) -> Array:
    if t.quant is None:
        return value
    return np.clip(np.rint(value / np.float32(t.scale)) + t.zero_point, *t.dtype.range).astype(t.dtype.carrier)


def _real(value: Array, t: TensorType) -> Array:
    if t.quant is None:
        return value
    return ((value.astype(np.int64) - t.zero_point) * np.float32(t.scale)).astype(np.float32)

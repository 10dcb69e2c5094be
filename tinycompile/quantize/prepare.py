"""A float ONNX model, brought into the few forms that quantisation knows: linear layers with a bias, nothing constant
left to compute, no batch normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tinycompile.errors import ModelFileError
from tinycompile.frontend.onnx_evaluate import evaluate_node
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array
from tinycompile.quantize.affine import fold_affine
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, attributes_of, output_axis, rename
from tinycompile.quantize.linear_attention import split_divisors
from tinycompile.quantize.norms import spell_norms
from tinycompile.quantize.qdq import FLOAT, not_floats
from tinycompile.quantize.scores import spell_scores

_MATRIX = 2


def prepared(proto: Any, shapes: Mapping[str, tuple[int, ...]], where: str = "") -> FloatGraph:
    """The model in the forms that quantisation knows; it computes the same.

    Args:
        proto: a float model, opset 13 or later.
        shapes: of its values as far as they are known, for a batch of 1.
        where: the model's name, for messages.

    Raises:
        ModelFileError: weights that aren't finite.
    """
    graph = with_known_values(proto, shapes)
    _check_finite(graph, where)
    _drop_identities(graph)
    spell_norms(graph)
    _matmul_to_gemm(graph)
    spell_scores(graph)
    split_divisors(graph)
    fold_affine(graph)
    _check_finite(graph, where)
    return graph


def with_known_values(proto: Any, shapes: Mapping[str, tuple[int, ...]]) -> FloatGraph:
    """The model with all constants that it computes: of others, and of shapes.

    Args:
        shapes: of its values as far as they are known, for a batch of 1.
    """
    constants = {i.name: onnx_module().numpy_helper.to_array(i) for i in proto.graph.initializer}
    graph = FloatGraph(proto, [copied(node) for node in proto.graph.node], constants, shapes)
    _fold_constants(graph)
    return graph


def _check_finite(graph: FloatGraph, where: str) -> None:
    """Refuse weights that aren't numbers.

    Raises:
        ModelFileError: names the tensor and the layer.
    """
    for node in graph.nodes:
        if node.op_type not in (*LINEAR, "MatMul", "BatchNormalization"):
            continue
        for name in node.input:
            value = graph.constants.get(name)
            if value is not None and value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                wrong = int(np.sum(~np.isfinite(value)))
                raise ModelFileError(
                    f"{node.op_type} {node.name or node.output[0]!r}: {wrong} of {value.size} values of {name!r} "
                    "are not finite",
                    where=where,
                    why="NaN and infinity have no 8-bit numbers, and numbers too large for float32 become infinite "
                    "where a batch normalisation is folded into a layer",
                    hint="look where the training diverged",
                )


def _fold_constants(graph: FloatGraph) -> None:
    kept = list[Any]()
    for node in graph.nodes:
        operands = {name: graph.constants.get(name) for name in node.input if name}
        known = {name: value for name, value in operands.items() if value is not None}
        if node.op_type == "Shape" and node.input[0] in graph.shapes:
            graph.constants[node.output[0]] = _shape(node, graph.shapes[node.input[0]])
            continue
        if len(known) < len(operands) or any(a.type in (5, 10) for a in node.attribute):
            kept.append(node)
            continue
        try:
            results = evaluate_node(node, known, max(graph.opset, 19) if "quantizeL" in node.op_type else graph.opset)
        except Rejected:
            results = _dequantized(node, known)
            if results is None:
                kept.append(node)
                continue
        graph.constants.update(zip((o for o in node.output if o), results, strict=True))
    graph.nodes = kept


def _shape(node: Any, shape: tuple[int, ...]) -> Array:
    attributes = attributes_of(node)
    return np.array(shape[attributes.get("start", 0) : attributes.get("end", len(shape))], np.int64)


def _dequantized(node: Any, operands: Mapping[str, Array]) -> list[Array] | None:
    from tinycompile.frontend.onnx_elementwise import known_dequantized

    if node.op_type != "DequantizeLinear":
        return None
    values = [operands[name] for name in node.input]
    zero_point = values[2] if len(values) > 2 else np.zeros((), values[0].dtype)
    return [known_dequantized(values[0], values[1], zero_point, attributes_of(node).get("axis", 1)).array]


def _drop_identities(graph: FloatGraph) -> None:
    for node in list(graph.nodes):
        passes_on = node.op_type == "Identity" or (node.op_type == "Dropout" and not _trains(graph, node))
        passes_on = passes_on or (node.op_type == "Cast" and _keeps_type(graph, node))
        if passes_on and node.output[0] not in graph.outputs:
            graph.nodes.remove(node)
            rename(graph, node.output[0], node.input[0])


def _keeps_type(graph: FloatGraph, node: Any) -> bool:
    """Whether a Cast makes float32 of what is float32 already, as in the definitions of onnx's normalisations."""
    return node.input[0] not in not_floats(graph) and attributes_of(node).get("to") == FLOAT


def _trains(graph: FloatGraph, node: Any) -> bool:
    """Whether a Dropout may drop elements, or something reads which it dropped."""
    if any(name and graph.consumers(name) for name in node.output[1:]):
        return True
    mode = node.input[2] if len(node.input) > 2 else ""
    return bool(mode) and (mode not in graph.constants or bool(np.any(graph.constants[mode])))


def _matmul_to_gemm(graph: FloatGraph) -> None:
    """MatMul of rows and a constant matrix, with the constant that is added to it; between two Reshapes if need be."""
    for node in list(graph.nodes):
        weights = graph.constants.get(node.input[1]) if node.op_type == "MatMul" else None
        shape = graph.shapes.get(node.input[0], ())
        if weights is None or weights.ndim < 2 or len(shape) < weights.ndim or prod(weights.shape[:-2]) != 1:
            continue
        inputs, output = [node.input[0], node.input[1]], node.output[0]
        if weights.ndim > 2:  # one matrix all the same
            weights = weights.reshape(-1, weights.shape[-1])
            inputs[1] = graph.constant(f"{output}_matrix", weights)
        add = graph.only_consumer(output)
        if add is not None and add.op_type == "Add":
            other = next((n for n in add.input if n != output), "")
            bias = graph.constants.get(other)
            if (
                bias is not None
                and bias.size in (1, weights.shape[1])
                and bias.shape in ((), (*(1,) * (bias.ndim - 1), bias.size))
            ):
                values = np.broadcast_to(bias.reshape(-1), (weights.shape[1],))
                inputs.append(graph.constant(f"{other}_bias", values.astype(np.float32)))
                output = add.output[0]
                graph.nodes.remove(add)
        at = next(i for i, n in enumerate(graph.nodes) if n is node)
        graph.nodes[at : at + 1] = _gemm_of(graph, inputs, output, shape, node.name)


def _gemm_of(graph: FloatGraph, inputs: list[str], output: str, shape: tuple[int, ...], name: str) -> list[Any]:
    """A Gemm of the rows along the last axis.

    Args:
        shape: of the first operand.
    """
    make = onnx_module().helper.make_node
    if len(shape) == _MATRIX:
        return [make("Gemm", inputs, [output], name=name or f"{output}_gemm")]
    columns = graph.constants[inputs[1]].shape[1]
    rows, product = f"{output}_rows", f"{output}_product"
    count = prod(shape[:-1])
    graph.shapes = {**graph.shapes, rows: (count, shape[-1]), product: (count, columns)}
    # The first axis is what is left, so that it may be that of several samples.
    sizes = [
        graph.constant(f"{n}_shape", np.array(s, np.int64))
        for n, s in ((rows, (-1, shape[-1])), (output, (-1, *shape[1:-1], columns)))
    ]
    return [
        make("Reshape", [inputs[0], sizes[0]], [rows], name=f"{rows}_node"),
        make("Gemm", [rows, *inputs[1:]], [product], name=name or f"{output}_gemm"),
        make("Reshape", [product, sizes[1]], [output], name=f"{output}_node"),
    ]


def with_biases(graph: FloatGraph) -> FloatGraph:
    """The graph with a bias, of zeros, in every linear layer that can have one: corrections need it."""
    graph = graph.copy()
    for node in graph.nodes:
        weights = graph.constants.get(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        if weights is not None and (len(node.input) < 3 or not node.input[2]):
            zeros = np.zeros(weights.shape[output_axis(node)], np.float32)
            del node.input[2:]
            node.input.append(graph.constant(f"{node.output[0]}_no_bias", zeros))
    return graph

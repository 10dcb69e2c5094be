"""A float ONNX model, brought into the few forms that quantisation knows: linear layers with a bias, nothing constant
left to compute, no batch normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import ModelFileError
from tinycompile.frontend.onnx_evaluate import evaluate_node
from tinycompile.frontend.onnx_file import opset_of
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array

LINEAR = ("Conv", "ConvTranspose", "Gemm")


@dataclass
class FloatGraph:
    """A model while it is being changed.

    Attributes:
        proto: everything but nodes and initialisers.
        nodes: in execution order.
        constants: by name.
        shapes: of the values whose shape is known, for a batch of 1.
    """

    proto: Any
    nodes: list[Any]
    constants: dict[str, Array]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def inputs(self) -> list[str]:
        return [v.name for v in self.proto.graph.input if v.name not in self.constants]

    @property
    def outputs(self) -> list[str]:
        return [v.name for v in self.proto.graph.output]

    @property
    def opset(self) -> int:
        return opset_of(self.proto)

    def producers(self) -> dict[str, Any]:
        return {name: node for node in self.nodes for name in node.output}

    def consumers(self, name: str) -> list[Any]:
        return [node for node in self.nodes if name in node.input]

    def only_consumer(self, name: str) -> Any | None:
        """The only node that reads a value which is no output; else None."""
        readers = self.consumers(name)
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def constant(self, stem: str, value: Array) -> str:
        """Add a constant under a free name."""
        name, number = stem, 1
        taken = {*self.constants, *self.producers(), *self.inputs}
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        self.constants[name] = value
        return name

    def model(self) -> Any:
        """The ModelProto."""
        onnx = onnx_module()
        model = type(self.proto)()
        model.CopyFrom(self.proto)
        graph = model.graph
        used = {name for node in self.nodes for name in node.input} | set(self.outputs)
        for field in (graph.node, graph.initializer, graph.value_info):
            del field[:]
        graph.node.extend(self.nodes)
        for name, value in self.constants.items():
            if name in used:
                graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, order="C"), name))
        kept = [v for v in graph.input if v.name not in self.constants]
        del graph.input[:]
        graph.input.extend(kept)
        return model

    def copy(self) -> FloatGraph:
        nodes = [copied(node) for node in self.nodes]
        return FloatGraph(self.proto, nodes, dict(self.constants), self.shapes)


def attributes_of(node: Any) -> dict[str, Any]:
    onnx = onnx_module()
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


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


def prepared(proto: Any, shapes: Mapping[str, tuple[int, ...]], where: str = "") -> FloatGraph:
    """The model in the forms that quantisation knows; it computes the same.

    Args:
        proto: a float model, opset 13 or later.
        shapes: of its values as far as they are known, for a batch of 1.
        where: the model's name, for messages.

    Raises:
        ModelFileError: weights that aren't finite.
    """
    onnx = onnx_module()
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in proto.graph.initializer}
    graph = FloatGraph(proto, list(proto.graph.node), constants, shapes)
    graph.nodes = [copied(node) for node in graph.nodes]
    _fold_constants(graph)
    _check_finite(graph, where)
    _drop_identities(graph)
    _matmul_to_gemm(graph)
    _fold_affine(graph, shapes)
    _check_finite(graph, where)
    return graph


def _fold_constants(graph: FloatGraph) -> None:
    kept = list[Any]()
    for node in graph.nodes:
        operands = {name: graph.constants.get(name) for name in node.input if name}
        known = {name: value for name, value in operands.items() if value is not None}
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


def _dequantized(node: Any, operands: Mapping[str, Array]) -> list[Array] | None:
    from tinycompile.frontend.onnx_elementwise import known_dequantized

    if node.op_type != "DequantizeLinear":
        return None
    values = [operands[name] for name in node.input]
    zero_point = values[2] if len(values) > 2 else np.zeros((), values[0].dtype)
    return [known_dequantized(values[0], values[1], zero_point, attributes_of(node).get("axis", 1)).array]


def _rename(graph: FloatGraph, old: str, new: str) -> None:
    for node in graph.nodes:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def _drop_identities(graph: FloatGraph) -> None:
    for node in list(graph.nodes):
        passes_on = node.op_type == "Identity" or (node.op_type == "Dropout" and not _trains(graph, node))
        if passes_on and node.output[0] not in graph.outputs:
            graph.nodes.remove(node)
            _rename(graph, node.output[0], node.input[0])


def _trains(graph: FloatGraph, node: Any) -> bool:
    """Whether a Dropout may drop elements, or something reads which it dropped."""
    if any(name and graph.consumers(name) for name in node.output[1:]):
        return True
    mode = node.input[2] if len(node.input) > 2 else ""
    return bool(mode) and (mode not in graph.constants or bool(np.any(graph.constants[mode])))


def _matmul_to_gemm(graph: FloatGraph) -> None:
    """MatMul of rows and a constant matrix, with the constant that is added to it."""
    helper = onnx_module().helper
    for node in list(graph.nodes):
        weights = graph.constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or weights.ndim != 2 or len(graph.shapes.get(node.input[0], ())) != 2:
            continue
        inputs, output = [node.input[0], node.input[1]], node.output[0]
        add = graph.only_consumer(output)
        if add is not None and add.op_type == "Add":
            other = next((n for n in add.input if n != output), "")
            bias = graph.constants.get(other)
            if bias is not None and bias.size in (1, weights.shape[1]) and bias.ndim <= 2:
                values = np.broadcast_to(bias.reshape(-1), (weights.shape[1],))
                inputs.append(graph.constant(f"{other}_bias", values.astype(np.float32)))
                output = add.output[0]
                graph.nodes.remove(add)
        at = next(i for i, n in enumerate(graph.nodes) if n is node)
        graph.nodes[at] = helper.make_node("Gemm", inputs, [output], name=node.name or f"{output}_gemm")


def _fold_affine(graph: FloatGraph, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """BatchNormalization, and Mul and Add by a constant per channel, become part of the linear layer before them.

    A BatchNormalization without one becomes a depthwise convolution of one tap.
    """
    changed = True
    while changed:
        changed = False
        for node in graph.nodes:
            affine = _affine_of(graph, node, shapes)
            if affine is None:
                continue
            source, scale, shift = affine
            layer = graph.producers().get(source)
            if layer is not None and layer.op_type in LINEAR and graph.only_consumer(source) is node:
                if scale_layer(graph, layer, scale, shift):
                    layer.output[0] = node.output[0]
                    graph.nodes.remove(node)
                    changed = True
                    break
            elif node.op_type == "BatchNormalization" and len(graph.shapes.get(source, ())) == 4:
                _as_depthwise(graph, node, scale, shift)
                changed = True
                break


def _affine_of(graph: FloatGraph, node: Any, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, Array, Array] | None:
    """(operand, factor, summand) per channel (axis 1) of a node that is nothing else."""
    if node.op_type == "BatchNormalization":
        if attributes_of(node).get("training_mode", 0) or any(n not in graph.constants for n in node.input[1:]):
            return None
        gamma, beta, mean, variance = (graph.constants[n].astype(np.float64) for n in node.input[1:5])
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = gamma / np.sqrt(variance + attributes_of(node).get("epsilon", 1e-5))
        return node.input[0], scale, beta - mean * scale
    if node.op_type not in ("Mul", "Add") or len(node.input) != 2:
        return None
    constants = [i for i, n in enumerate(node.input) if n in graph.constants]
    if len(constants) != 1:
        return None
    source, value = node.input[1 - constants[0]], graph.constants[node.input[constants[0]]]
    shape = shapes.get(source)
    if shape is None or len(shape) < 2 or value.ndim > len(shape):
        return None
    padded = (*(1,) * (len(shape) - value.ndim), *value.shape)
    if any(n != 1 for axis, n in enumerate(padded) if axis != 1) or padded[1] not in (1, shape[1]):
        return None
    values = np.broadcast_to(value.reshape(-1).astype(np.float64), (shape[1],))
    ones, zeros = np.ones(shape[1]), np.zeros(shape[1])
    return (source, values, zeros) if node.op_type == "Mul" else (source, ones, values)


def output_axis(node: Any) -> int:
    """The output channels' axis of a linear layer's weights."""
    if node.op_type == "Gemm":
        return 0 if attributes_of(node).get("transB", 0) else 1
    return 1 if node.op_type == "ConvTranspose" else 0


def scale_layer(graph: FloatGraph, layer: Any, scale: Array, shift: Array) -> bool:
    """Multiply a layer's output channels and add to them; False where its weights aren't constant."""
    weights = graph.constants.get(layer.input[1])
    attributes = attributes_of(layer)
    plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0
    if weights is None or not plain or (layer.op_type == "ConvTranspose" and attributes.get("group", 1) != 1):
        return False
    bias = graph.constants.get(layer.input[2]) if len(layer.input) > 2 and layer.input[2] else np.zeros(scale.shape)
    axis = output_axis(layer)
    if bias is None or weights.shape[axis] != scale.size or bias.size not in (1, scale.size):
        return False
    factors = scale.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
    name = layer.input[1]
    with np.errstate(over="ignore", invalid="ignore"):  # `_check_finite` says what overflows
        layer.input[1] = graph.constant(f"{name}_folded", (weights * factors).astype(np.float32))
        folded = graph.constant(f"{name}_folded_bias", (bias.reshape(-1) * scale + shift).astype(np.float32))
    del layer.input[2:]
    layer.input.append(folded)
    return True


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


def _as_depthwise(graph: FloatGraph, node: Any, scale: Array, shift: Array) -> None:
    weights = graph.constant(f"{node.output[0]}_scale", scale.reshape(-1, 1, 1, 1).astype(np.float32))
    bias = graph.constant(f"{node.output[0]}_shift", shift.astype(np.float32))
    conv = onnx_module().helper.make_node(
        "Conv", [node.input[0], weights, bias], [node.output[0]], name=node.name, group=int(scale.size)
    )
    graph.nodes[next(i for i, n in enumerate(graph.nodes) if n is node)] = conv

"""A float ONNX model while quantisation changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_file import opset_of
from tinycompile.frontend.onnx_module import copied, onnx_module
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


def rename(graph: FloatGraph, old: str, new: str) -> None:
    """What reads one value reads another one."""
    for node in graph.nodes:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def attributes_of(node: Any) -> dict[str, Any]:
    onnx = onnx_module()
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


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


def depthwise(graph: FloatGraph, source: str, result: str, scale: Array, shift: Array) -> Any:
    """A node that isn't in the graph yet: a convolution of one element that computes scale * source + shift for each
    channel (axis 1). The result's shape is known then.
    """
    shape = graph.shapes[source]
    weights = graph.constant(f"{result}_scale", scale.reshape(-1, *(1,) * (len(shape) - 1)).astype(np.float32))
    bias = graph.constant(f"{result}_shift", shift.astype(np.float32))
    graph.shapes = {**graph.shapes, result: shape}
    return onnx_module().helper.make_node(
        "Conv", [source, weights, bias], [result], name=f"{result}_node", group=int(scale.size)
    )

"""Small ONNX models for tests, and their comparison with the reference evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.support import onnx_oracle
from tinycompile import interpreter
from tinycompile.frontend.onnx import expand, import_places
from tinycompile.frontend.onnx_file import static_model
from tinycompile.frontend.onnx_values import Placed
from tinycompile.ir import Graph, verify
from tinycompile.passes import optimize


@dataclass
class OnnxBuilder:
    """Collects nodes; every method returns a value's name."""

    opset: int = 17
    nodes: list[Any] = field(default_factory=list)
    initializers: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    count: int = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def input(self, shape: Sequence[int | str], dtype: str = "float32", name: str = "x") -> str:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = self.name("constant")
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        names = [self.name(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0]

    def parameters(self, scale: Any, zero_point: Any, dtype: str) -> tuple[str, str]:
        return self.constant(scale, np.float32), self.constant(zero_point, dtype)

    def quantize(self, x: str, scale: float, zero_point: int, dtype: str = "int8") -> str:
        return self.node("QuantizeLinear", x, *self.parameters(scale, zero_point, dtype))

    def dequantize(self, q: str, scale: Any, zero_point: Any, dtype: str = "int8", **attributes: int) -> str:
        return self.node("DequantizeLinear", q, *self.parameters(scale, zero_point, dtype), **attributes)

    def activation(self, x: str, scale: float, zero_point: int, dtype: str = "int8") -> str:
        """Quantised and dequantised."""
        return self.dequantize(self.quantize(x, scale, zero_point, dtype), scale, zero_point, dtype)

    def weights(self, values: np.ndarray, scale: Any, zero_point: Any, axis: int = 0) -> str:
        dtype = values.dtype.name
        attributes = {"axis": axis} if np.ndim(scale) else {}
        return self.dequantize(self.constant(values), scale, zero_point, dtype, **attributes)

    def output(self, name: str, dtype: str = "float32") -> None:
        self.outputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "test", self.inputs, self.outputs, self.initializers)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def imported(model: onnx.ModelProto, **options: Any) -> tuple[Graph, dict[str, Placed]]:
    graph, places = import_places(static_model(expand(model), "test.onnx"), "test", "test.onnx", **options)
    verify(graph)
    return graph, places


def onnx_value(at: Placed, value: np.ndarray) -> np.ndarray:
    """An IR value with the axes and the order of its ONNX tensor."""
    order = at.row_order()
    if order is not None:
        plain = np.empty(value.size, value.dtype)
        plain[order] = value.ravel()
        return plain.reshape(at.shape)
    return value.reshape(at.physical_shape).transpose([at.order.index(i) for i in range(len(at.order))])


def check_model(model: onnx.ModelProto, inputs: dict[str, np.ndarray], **options: Any) -> Graph:
    """Every quantised tensor and every output, bit for bit, before and after the passes."""
    graph, places = imported(model, **options)
    expected = onnx_oracle.run(onnx_oracle.every_tensor(expand(model)), inputs)
    values = interpreter.run(graph, [inputs[i.name] for i in model.graph.input])
    for name, at in places.items():
        want = expected.get(name)
        if want is None or at.name not in values:
            continue
        shift = 128 if want.dtype == np.uint8 else 0
        got = onnx_value(at, values[at.name]).astype(np.int64) + shift
        np.testing.assert_array_equal(got, want, err_msg=name)
    optimized = interpreter.run(optimize(graph), [inputs[i.name] for i in model.graph.input])
    for output, name in zip(model.graph.output, graph.outputs, strict=True):
        want = expected[output.name]
        assert values[name].dtype == want.dtype
        np.testing.assert_array_equal(values[name], want.reshape(values[name].shape))
        np.testing.assert_array_equal(optimized[name], values[name])
    return graph


def kinds(graph: Graph) -> list[str]:
    return [node.op.kind for node in graph.nodes]

"""Parts of a model, computed at compile time by `onnx.reference.ReferenceEvaluator`, which is their definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_values import Step
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization
from tinycompile.ops._elementwise import INT8_VALUES


def evaluate_node(node: Any, operands: Mapping[str, Array], opset: int) -> list[Array]:
    """The results of one node with constant operands. Raises Rejected where the evaluator can't."""
    onnx = onnx_module()
    helper = onnx.helper
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in operands.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    return [np.asarray(result) for result in _run(graph, opset, dict(operands))]


def table_of(x: Quantization, steps: Sequence[Step], y: Quantization, opset: int) -> Array:
    """int8 (256,): DequantizeLinear, the steps, QuantizeLinear, for every int8 value in the order of bit patterns."""
    floats = (INT8_VALUES.astype(np.float32) - np.float32(x.zero_point[0])) * x.scale[0]
    if steps:
        floats = _through(steps, floats, opset)
    if floats.shape != (256,):
        raise Rejected("it is no function of single elements")
    with np.errstate(all="ignore"):
        quotient = np.nan_to_num(np.rint(floats / y.scale[0]), posinf=1e9, neginf=-1e9)
    return np.clip(np.clip(quotient, -1e9, 1e9) + y.zero_point[0], -128, 127).astype(np.int8)


def _through(steps: Sequence[Step], floats: Array, opset: int) -> Array:
    """The values after all steps."""
    onnx = onnx_module()
    helper, nodes, constants = onnx.helper, list[Any](), dict[str, Array]()
    for index, step in enumerate(steps):
        node = onnx.NodeProto()
        node.CopyFrom(step.node)
        for position, name in enumerate(step.node.input):
            if position == step.operand:
                node.input[position] = f"v{index}"
            elif name:
                node.input[position] = f"c{index}_{position}"
                constants[f"c{index}_{position}"] = step.constants[name]
        del node.output[:]
        node.output.append(f"v{index + 1}")
        nodes.append(node)
    values = helper.make_tensor_value_info("v0", onnx.TensorProto.FLOAT, [256])
    initializers = [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "table", [values], [onnx.ValueInfoProto(name=f"v{len(steps)}")], initializers)
    (result,) = _run(graph, opset, {"v0": floats})
    return np.asarray(result, np.float32)


def _run(graph: Any, opset: int, inputs: dict[str, Array]) -> list[Any]:
    onnx = onnx_module()
    from onnx.reference import ReferenceEvaluator

    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):
            evaluator: Any = ReferenceEvaluator(model)  # `run` isn't typed
            return list(evaluator.run(None, inputs))
    except Exception as error:  # whatever an evaluator of arbitrary nodes raises
        raise Rejected(f"it can't be evaluated: {str(error).strip()[:200] or type(error).__name__}") from error

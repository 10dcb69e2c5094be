"""Parts of a model, computed at compile time by `onnx.reference.ReferenceEvaluator`, which is their definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import copied, onnx_module
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


def table_of(x: Quantization, function: Step | None, y: Quantization, opset: int) -> Array:
    """int8 (256,), or (C, 256): DequantizeLinear, the function, QuantizeLinear, for every int8 value by its bits."""
    return rounded_values(values_of(x, function, opset), y)


def rounded_values(floats: Array, y: Quantization) -> Array:
    """int8: QuantizeLinear of floats."""
    with np.errstate(all="ignore"):
        steps = np.rint(floats / y.scale[0]).astype(np.float64) + y.zero_point[0]
    # ONNX leaves open what a NaN becomes: onnxruntime's smallest value.
    return np.clip(np.where(np.isnan(steps), -128, steps), -128, 127).astype(np.int8)


def values_and_between(x: Quantization, function: Step | None, opset: int) -> tuple[Array, Array]:
    """(`values_of` every int8 value by its bits, float32 (257,): half a step below -128, -127, ... and above 127)."""
    inputs = np.concatenate([INT8_VALUES.astype(np.float32), np.arange(-128, 129, dtype=np.float32) - np.float32(0.5)])
    values, between = np.split(values_of(x, function, opset, inputs), [INT8_VALUES.size], axis=-1)
    return values, between


def values_of(x: Quantization, function: Step | None, opset: int, inputs: Array = INT8_VALUES) -> Array:
    """float32 or bool (n,), or (C, n) for a function that differs from channel to channel: DequantizeLinear and the
    function, for integers (n,), by default every int8 value by its bits.
    """
    floats = (inputs.astype(np.float32) - np.float32(x.zero_point[0])) * x.scale[0]
    if function is None:
        return floats
    result = _through(function, floats, opset)
    if result.shape[-1:] != inputs.shape or result.ndim > 2:
        raise Rejected("it is no function of single elements")
    return result if function.boolean else result.astype(np.float32)


def nodes_of(function: Step | None) -> list[Step]:
    """All steps of a function, each behind those that it needs."""
    found = list[Step]()
    pending = [] if function is None else [function]
    while pending:
        step = pending[-1]
        missing = [s for s in step.operands.values() if isinstance(s, Step) and not any(s is f for f in found)]
        if missing:
            pending += missing
            continue
        pending.pop()
        if not any(step is f for f in found):
            found.append(step)
    return found


def _through(function: Step, floats: Array, opset: int) -> Array:
    """The values of the last step."""
    onnx = onnx_module()
    helper, nodes, constants = onnx.helper, list[Any](), dict[str, Array]()
    names: dict[int, str] = {}
    for index, step in enumerate(nodes_of(function)):
        node = copied(step.node)
        for position in range(len(node.input)):
            if position not in step.operands:
                node.input[position] = ""
                continue
            operand = step.operands[position]
            if operand is None:
                name = "element"
            elif isinstance(operand, Step):
                name = names[id(operand)]
            else:
                name = f"constant_{index}_{position}"
                constants[name] = operand
            node.input[position] = name
        names[id(step)] = f"step_{index}"
        del node.output[:]
        node.output.append(names[id(step)])
        nodes.append(node)
    values = helper.make_tensor_value_info("element", onnx.TensorProto.FLOAT, list(floats.shape))
    initializers = [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    outputs = [onnx.ValueInfoProto(name=names[id(function)])]
    graph = helper.make_graph(nodes, "table", [values], outputs, initializers)
    (result,) = _run(graph, opset, {"element": floats})
    return np.asarray(result)


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

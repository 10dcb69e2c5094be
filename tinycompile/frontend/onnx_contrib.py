"""com.microsoft's operators (onnxruntime, docs/ContribOperators.md) in ONNX's words.

Most are DequantizeLinear, the float operator, QuantizeLinear. Channels-last ones stand between two Transposes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_contrib_attention import attention
from tinycompile.frontend.onnx_contrib_blocks import BLOCKS
from tinycompile.frontend.onnx_contrib_fused import FUSED
from tinycompile.frontend.onnx_contrib_norms import NORMS
from tinycompile.frontend.onnx_contrib_recurrent import dynamic_lstm
from tinycompile.frontend.onnx_contrib_transformers import TRANSFORMERS
from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_file import opset_of
from tinycompile.frontend.onnx_ml_shapes import infer_shapes
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.onnx_rewrite import names_of, rewrite_nodes
from tinycompile.frontend.onnx_schema import MICROSOFT
from tinycompile.frontend.onnx_upgrade import flattened_softmax
from tinycompile.frontend.tflite_scope import Rejected

_UNARY = {"QLinearSigmoid": "Sigmoid", "QLinearLeakyRelu": "LeakyRelu"}
_POOLS = {"QLinearAveragePool": "AveragePool", "QLinearGlobalAveragePool": "GlobalAveragePool"}
_BINARY = {"QLinearAdd": "Add", "QLinearMul": "Mul"}
_SAME = ("QuantizeLinear", "DequantizeLinear")
"""They mean what ONNX's do; ONNX's shape inference knows only its own."""


def expand(proto: Any, where: str = "") -> Any:
    """A model whose com.microsoft operators are ONNX's, as far as it has the same.

    Raises:
        UnsupportedError: every node about which the file doesn't say enough, at once.
    """
    clone = type(proto)()
    clone.CopyFrom(proto)
    nodes, taken, opset = list[Any](), names_of(proto), opset_of(proto)
    constants = {i.name: i for i in proto.graph.initializer}

    def typed(name: str) -> Any:
        before = type(proto)()
        before.CopyFrom(clone)
        del before.graph.node[:], before.graph.output[:], before.graph.value_info[:]
        before.graph.node.extend(nodes)
        try:
            shaped = infer_shapes(before).graph
        except Exception:  # of a broken model, which static_model reports
            return None
        make = onnx_module().helper.make_tensor_type_proto
        found = {i.name: make(i.data_type, i.dims).tensor_type for i in before.graph.initializer}
        found |= {v.name: v.type.tensor_type for v in (*shaped.input, *shaped.value_info)}
        return found.get(name)

    def step_of(node: Any) -> Expansion | None:
        return Expansion(node, taken, typed, opset, constants) if node.domain == MICROSOFT else None

    rewrite_nodes(clone, step_of, expanded, where, nodes)
    return clone


def expanded(step: Expansion) -> list[Any]:
    """The nodes for one; the node itself if ONNX has no other words for it."""
    kind, inputs = step.node.op_type, list(step.node.input)
    for rules in (FUSED, BLOCKS, NORMS, TRANSFORMERS):
        if kind in rules:
            return rules[kind](step, inputs)
    if kind in _UNARY:
        return step.chain(_UNARY[kind], [inputs[:3]], inputs[3:5])
    if kind in _BINARY:
        return step.chain(_BINARY[kind], [inputs[:3], inputs[3:6]], inputs[6:8])
    if kind in _POOLS:
        if step.value("ceil_mode", 0) and step.value("count_include_pad", 0):
            # AveragePool's windows end with the padding; onnxruntime's quantised kernel divides by whole windows.
            raise Rejected("the attributes ceil_mode and count_include_pad together: onnxruntime contradicts itself")
        if not step.take("channels_last", 0):
            return step.chain(_POOLS[kind], [inputs[:3]], inputs[3:5])
        return _channels_last(step, lambda inner, x: inner.chain(_POOLS[kind], [[x, *inputs[1:3]]], inputs[3:5]))
    if kind == "QLinearConcat":
        groups = [inputs[i : i + 3] for i in range(2, len(inputs), 3)]
        return step.chain("Concat", groups, inputs[:2])
    if kind == "QLinearSoftmax":
        return _softmax(step, inputs)
    if kind == "MatMulIntegerToFloat":
        return _matmul_to_float(step, inputs)
    if kind == "DynamicQuantizeMatMul":
        return _dynamic_matmul(step, inputs)
    if kind == "DynamicQuantizeLSTM":
        return dynamic_lstm(step, inputs)
    if kind == "QAttention":
        return attention(step, inputs)
    if kind == "QGemm":
        return _gemm(step, inputs)
    if kind == "QLinearReduceMean":
        return _reduce_mean(step, inputs)
    if kind == "QLinearWhere":
        return _where(step, inputs)
    if kind == "NhwcMaxPool":
        return _channels_last(step, lambda inner, x: inner.again([x], "MaxPool"))
    if kind == "QLinearConv":
        if not step.take("channels_last", 0):
            return step.again(inputs)
        return _channels_last(step, lambda inner, x: inner.again([x, *inputs[1:]]))
    if kind in _SAME:
        return step.again(inputs)
    return [step.node]


def _channels_last(step: Expansion, between: Callable[[Expansion, str], list[Any]]) -> list[Any]:
    """Transpose, the node with channels second, Transpose."""
    x, y = step.node.input[0], step.node.output[0]
    rank, first, last = step.rank(x), step.name("channels_first"), step.name("result")
    inner = Expansion(copied(step.node), step.taken, step.typed, step.opset, step.constants)
    inner.node.output[0] = last
    inner.attributes, inner.initializers = step.attributes, step.initializers
    return [
        step.make("Transpose", [x], first, perm=[0, rank - 1, *range(1, rank - 1)]),
        *between(inner, first),
        step.make("Transpose", [last], y, perm=[0, *range(2, rank), 1]),
    ]


def _reduce_mean(step: Expansion, inputs: list[str]) -> list[Any]:
    """The axes are an attribute, as ReduceMean has them below opset 18."""
    x, real = step.name("dequantized"), step.name("float")
    axes, keep = [int(a) for a in step.take("axes", [])], int(step.take("keepdims", 1))
    operands = [x] if step.opset < 18 else [x, step.constant("axes", axes, np.int64)]
    given = {"axes": axes} if step.opset < 18 else {}
    return [
        step.make("DequantizeLinear", inputs[:3], x),
        step.make("ReduceMean", operands, real, keepdims=keep, **given),
        step.quantized(real, inputs[3:5], inputs[0]),
    ]


def _where(step: Expansion, inputs: list[str]) -> list[Any]:
    """QLinearWhere(condition, X, scale, zero point, Y, scale, zero point, scale and zero point of the result)."""
    x, y, real = step.name("x"), step.name("y"), step.name("float")
    return [
        step.make("DequantizeLinear", inputs[1:4], x),
        step.make("DequantizeLinear", inputs[4:7], y),
        step.make("Where", [inputs[0], x, y], real),
        step.quantized(real, inputs[7:9], inputs[1]),
    ]


def _softmax(step: Expansion, inputs: list[str]) -> list[Any]:
    """`opset` says whose Softmax it is: below 13 the axes from `axis` on are one."""
    axis = int(step.take("axis", -1))
    if int(step.take("opset", 13)) >= 13 or axis == -1:
        return step.chain("Softmax", [inputs[:3]], inputs[3:5], axis=axis)
    x, real = step.name("dequantized"), step.name("float")
    return [
        step.make("DequantizeLinear", inputs[:3], x),
        *flattened_softmax("Softmax", x, real, axis, step.name, step.node.name),
        step.quantized(real, inputs[3:5], inputs[0]),
    ]


def _gemm(step: Expansion, inputs: list[str]) -> list[Any]:
    """QGemm(A, a_scale, a_zero, B, b_scale, b_zero, C, y_scale, y_zero): C has the scale alpha * a_scale * b_scale, and
    without y_scale the result is float32.
    """
    inputs = [*inputs, *[""] * (9 - len(inputs))]
    alpha = float(step.take("alpha", 1.0))
    product, scale = step.name("a_scale"), step.name("scale")
    factors = [
        step.make("Mul", [step.constant("alpha", alpha, np.float32), inputs[1]], product),
        step.make("Mul", [product, inputs[4]], scale),
    ]
    if not inputs[7]:
        return [*factors, *_integer_gemm(step, inputs, scale)]
    transposed = bool(step.take("transB", 0))
    a, b, c, real = step.name("a"), step.name("b"), step.name("c"), step.name("float")
    nodes = [
        step.make("DequantizeLinear", inputs[:3], a),
        step.make("DequantizeLinear", inputs[3:6], b, axis=0 if transposed else 1),
    ]
    operands = [a, b]
    if inputs[6]:
        nodes += [*factors, *step.expanded_bias(inputs[6], scale, c)]
        operands.append(c)
    gemm = step.make("Gemm", operands, real, alpha=alpha, transB=int(transposed))
    gemm.attribute.extend(step.attributes.values())
    return [*nodes, gemm, step.quantized(real, inputs[7:9], inputs[0])]


def _integer_gemm(step: Expansion, inputs: list[str], scale: str) -> list[Any]:
    """The sum of integers, C among them, as a float, times the scale."""
    nodes = list[Any]()
    for operand, name in ((0, "transA"), (3, "transB")):
        if step.take(name, 0):
            turned = step.name(f"turned_{operand}")
            nodes.append(step.make("Transpose", [inputs[operand]], turned, perm=[1, 0]))
            inputs[operand] = turned
    total = step.name("sum")
    nodes.append(step.make("MatMulInteger", [inputs[0], inputs[3], inputs[2], inputs[5]], total))
    if inputs[6]:
        biased = step.name("biased")
        nodes.append(step.make("Add", [total, inputs[6]], biased))
        total = biased
    real = step.name("real")
    return [*nodes, step.make("Cast", [total], real, to=1), step.make("Mul", [real, scale], step.node.output[0])]


def _matmul_to_float(step: Expansion, inputs: list[str]) -> list[Any]:
    """MatMulIntegerToFloat(A, B, a_scale, b_scale, a_zero, b_zero, bias)."""
    a, b, a_scale, b_scale, a_zero, b_zero, bias = [*inputs, *[""] * (7 - len(inputs))]
    result = step.node.output[0]
    product = step.name("product") if bias else result
    nodes = step.integer_sum([a, a_scale, a_zero], [b, b_scale, b_zero], product)
    return [*nodes, step.make("Add", [product, bias], result)] if bias else nodes


def _dynamic_matmul(step: Expansion, inputs: list[str]) -> list[Any]:
    """DynamicQuantizeMatMul(A, B, b_scale, b_zero, bias)."""
    a, b, b_scale, b_zero, bias = [*inputs, *[""] * (5 - len(inputs))]
    parts = [step.name(stem) for stem in ("quantized", "a_scale", "a_zero")]
    quantize = onnx_module().helper.make_node("DynamicQuantizeLinear", [a], parts)
    return [quantize, *_matmul_to_float(step, [parts[0], b, parts[1], b_scale, parts[2], b_zero, bias])]

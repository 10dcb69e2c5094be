"""com.microsoft's operators (onnxruntime, docs/ContribOperators.md) in ONNX's words.

Most are DequantizeLinear, the float operator, QuantizeLinear. Channels-last ones stand between two Transposes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx_ml_shapes import infer_shapes
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.onnx_rewrite import Rewriting, label_of, names_of, rewritten
from tinycompile.frontend.onnx_schema import MICROSOFT
from tinycompile.frontend.onnx_upgrade import flattened_softmax
from tinycompile.frontend.tflite_scope import Rejected

_UNARY = {"QLinearSigmoid": "Sigmoid", "QLinearLeakyRelu": "LeakyRelu"}
_POOLS = {"QLinearAveragePool": "AveragePool", "QLinearGlobalAveragePool": "GlobalAveragePool"}
_BINARY = {"QLinearAdd": "Add", "QLinearMul": "Mul"}
_SAME = ("QuantizeLinear", "DequantizeLinear")
"""They mean what ONNX's do; ONNX's shape inference knows only its own."""


class Expansion(Rewriting):
    """Of a node; `typed` gives the tensor type of a value that was computed before it."""

    def __init__(self, node: Any, taken: set[str], typed: Callable[[str], Any]) -> None:
        super().__init__(node, taken)
        self.typed = typed

    def rank(self, name: str) -> int:
        found = self.typed(name)
        if found is None or not found.HasField("shape"):
            raise Rejected(f"the number of dimensions of {name!r} is unknown")
        return len(found.shape.dim)

    def zero_point(self, name: str, like: str) -> str:
        """The zero point, or, if it is left out, a zero of the type of `like`: QuantizeLinear would take uint8."""
        if name:
            return name
        found = self.typed(like)
        if found is None:
            raise Rejected(f"it has no zero point, and the type of {like!r} is unknown")
        return self.constant("zero", 0, onnx_module().helper.tensor_dtype_to_np_dtype(found.elem_type))

    def chain(self, kind: str, groups: Sequence[Sequence[str]], result: Sequence[str], **more: Any) -> list[Any]:
        """The float operator with the attributes that are left, between (tensor, scale, zero point) and the result."""
        names, nodes = list[str](), list[Any]()
        for group in groups:
            names.append(self.name(f"dequantized_{len(names)}"))
            nodes.append(self.make("DequantizeLinear", list(group), names[-1]))
        real = self.name("float")
        node = self.make(kind, names, real, **more)
        node.attribute.extend(self.attributes.values())
        return [*nodes, node, self.quantized(real, result, groups[0][0])]

    def quantized(self, real: str, result: Sequence[str], like: str) -> Any:
        scale, zero_point = (*result, "")[:2]
        return self.make("QuantizeLinear", [real, scale, self.zero_point(zero_point, like)], self.node.output[0])


def expand(proto: Any, where: str = "") -> Any:
    """A model whose com.microsoft operators are ONNX's, as far as it has the same.

    Raises:
        UnsupportedError: every node about which the file doesn't say enough, at once.
    """
    clone = type(proto)()
    clone.CopyFrom(proto)
    nodes, problems, taken = list[Any](), list[tuple[str, str]](), names_of(proto)

    def typed(name: str) -> Any:
        before = type(proto)()
        before.CopyFrom(clone)
        del before.graph.node[:], before.graph.output[:], before.graph.value_info[:]
        before.graph.node.extend(nodes)
        try:
            shaped = infer_shapes(before).graph
        except Exception:  # of a broken model, which static_model reports
            return None
        found = {v.name: v.type.tensor_type for v in (*shaped.input, *shaped.value_info)}
        return found.get(name)

    for index, node in enumerate(proto.graph.node):
        if node.domain != MICROSOFT:
            nodes.append(node)
            continue
        step = Expansion(node, taken, typed)
        try:
            nodes += rewritten(step, partial(expanded, step))
        except Rejected as reason:
            problems.append((label_of(node, index), str(reason)))
        clone.graph.initializer.extend(step.initializers)
    if problems:
        raise UnsupportedError(problems, where=where)
    del clone.graph.node[:]
    clone.graph.node.extend(nodes)
    return clone


def expanded(step: Expansion) -> list[Any]:
    """The nodes for one; the node itself if ONNX has no other words for it."""
    kind, inputs = step.node.op_type, list(step.node.input)
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
    if kind == "QGemm":
        return _gemm(step, inputs)
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
    inner = Expansion(copied(step.node), step.taken, step.typed)
    inner.node.output[0] = last
    inner.attributes, inner.initializers = step.attributes, step.initializers
    return [
        step.make("Transpose", [x], first, perm=[0, rank - 1, *range(1, rank - 1)]),
        *between(inner, first),
        step.make("Transpose", [last], y, perm=[0, *range(2, rank), 1]),
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
    transposed = bool(step.take("transB", 0))
    a, b, y = step.name("a"), step.name("b"), step.node.output[0]
    nodes = [
        step.make("DequantizeLinear", inputs[:3], a),
        step.make("DequantizeLinear", inputs[3:6], b, axis=0 if transposed else 1),
    ]
    operands = [a, b]
    if inputs[6]:
        product, scale, c = step.name("ab_scale"), step.name("c_scale"), step.name("c")
        factor = step.constant("alpha", alpha, np.float32)
        nodes.append(step.make("Mul", [inputs[1], inputs[4]], product))
        nodes.append(step.make("Mul", [product, factor], scale))
        nodes.append(step.make("DequantizeLinear", [inputs[6], scale], c, axis=0))
        operands.append(c)
    real = step.name("float") if inputs[7] else y
    gemm = step.make("Gemm", operands, real, alpha=alpha, transB=int(transposed))
    gemm.attribute.extend(step.attributes.values())
    nodes.append(gemm)
    return [*nodes, step.quantized(real, inputs[7:9], inputs[0])] if inputs[7] else nodes

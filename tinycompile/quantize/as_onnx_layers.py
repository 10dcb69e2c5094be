"""How layers, pools, reductions and functions are written (`as_onnx_writer.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Node, Op, Signature
from tinycompile.ops._pool import Pool
from tinycompile.ops._reduce import Reduction
from tinycompile.ops._spatial import Padding, Window
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.elu import Elu
from tinycompile.ops.exp import Exp
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.gelu import Gelu
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.l2_normalization import L2Normalization
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.log import Log
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.pow import Pow
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.relu import Relu
from tinycompile.ops.rsqrt import Rsqrt
from tinycompile.ops.sign import Sign
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.quantize.as_onnx_writer import FIRST, LAST, Writer, exports, position

Steps = list[tuple[str, list[str], Mapping[str, object]]]
"""As `Writer.chain` takes them."""

SMALLEST_NORM = 1e-6
"""Of L2_NORMALIZATION: smaller ones divide by it."""


def limits(writer: Writer, stem: str, bounds: tuple[float, float]) -> Steps:
    """What a fused activation does."""
    low, high = bounds
    if (low, high) == (-inf, inf):
        return []
    if (low, high) == (0, inf):
        return [("Relu", [], {})]
    ends = [writer.constant(f"{stem}_limit", np.float32(v)) if abs(v) != inf else "" for v in bounds]
    return [("Clip", ends, {})]


def pads(padding: Padding) -> list[int]:
    """In ONNX's order: both axes' beginnings, then their ends."""
    top, bottom, left, right = padding
    return [top, left, bottom, right]


def geometry(window: Window) -> dict[str, object]:
    """Attributes of convolutions and pools."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "dilations": list(window.dilation),
        "pads": pads(window.padding),
    }


@exports(Conv2D, DepthwiseConv2D)
def convolution(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Conv2D | DepthwiseConv2D) or node.inputs[1] not in writer.graph.constants:
        raise Rejected("its weights are computed while the model runs")
    depthwise = isinstance(op, DepthwiseConv2D)
    weights = writer.real(node.inputs[1]).transpose((3, 0, 1, 2) if depthwise else FIRST)
    group = sig.input.shape[3] if depthwise else op.groups(sig)
    _layer(writer, node, "Conv", weights, op.bounds, {"group": group, **geometry(op.window_of(sig))})


@exports(TransposeConv)
def transpose_conv(writer: Writer, node: Node, sig: Signature) -> None:
    """What the kernel reaches beyond the output is padding of it, what it doesn't reach is `output_padding`."""
    op = node.op
    if not isinstance(op, TransposeConv) or op.groups(sig) != 1:
        raise Rejected("it has groups")
    weights = writer.real(node.inputs[1]).transpose(3, 0, 1, 2)
    extents = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], op.dilation, strict=True)]
    ends = [(sig.input.shape[1 + i] - 1) * op.stride[i] + extents[i] - op.cut[i] - op.size[i] for i in range(2)]
    if any(-end >= max(op.stride[i], op.dilation[i]) for i, end in enumerate(ends)):
        raise Rejected(f"its output of {op.size} is larger than its input and stride make it")
    attributes: dict[str, object] = {
        "kernel_shape": list(weights.shape[2:]),
        "strides": list(op.stride),
        "dilations": list(op.dilation),
        "pads": [*op.cut, *(max(end, 0) for end in ends)],
        "output_padding": [max(-end, 0) for end in ends],
    }
    _layer(writer, node, "ConvTranspose", weights, (-inf, inf), attributes)


def _layer(
    writer: Writer,
    node: Node,
    kind: str,
    weights: np.ndarray,
    bounds: tuple[float, float],
    attributes: Mapping[str, object],
) -> None:
    """A layer of images."""
    operands = [writer.constant(f"{node.outputs[0]}_weights", weights)]
    operands += [writer.read(name) for name in node.inputs[2:]]
    steps = [(kind, operands, attributes), *limits(writer, node.outputs[0], bounds)]
    writer.chain(writer.read(node.inputs[0], FIRST), writer.result(node, FIRST), steps)


@exports(FullyConnected)
def fully_connected(writer: Writer, node: Node, sig: Signature) -> None:
    """Gemm of rows; of more axes a MatMul."""
    op, stem = node.op, node.outputs[0]
    if not isinstance(op, FullyConnected) or any(name not in writer.graph.constants for name in node.inputs[1:]):
        raise Rejected("its weights are computed while the model runs")
    bias = [writer.read(name) for name in node.inputs[2:]]
    weights = writer.real(node.inputs[1])
    if len(sig.input.shape) == 2:
        operands = [writer.constant(f"{stem}_weights", weights), *bias]
        steps: Steps = [("Gemm", operands, {"transB": 1})]
    else:
        steps = [("MatMul", [writer.constant(f"{stem}_weights", weights.T)], {})]
        steps += [("Add", bias, {})] if bias else []
    writer.chain(writer.read(node.inputs[0]), writer.result(node), [*steps, *limits(writer, stem, op.bounds)])


@exports(BatchMatMul)
def batch_matmul(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, BatchMatMul):
        raise TypeError(f"{op.kind} is no product of matrices")
    operands = list[str]()
    for value, t, turned in zip(node.inputs, sig.inputs, (op.adj_x, op.adj_y), strict=True):
        name = writer.read(value)
        if turned:
            axes = [*range(len(t.shape) - 2), len(t.shape) - 1, len(t.shape) - 2]
            swapped = writer.temporary(f"{value}_transposed")
            writer.node("Transpose", [name], [swapped], perm=axes)
            name = swapped
        operands.append(name)
    writer.node("MatMul", operands, [writer.result(node)])


@exports(MaxPool2D, AveragePool2D)
def pool(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Pool) or (isinstance(op, AveragePool2D) and any(op.counted)):
        raise Rejected("its padding counts")
    kind = "MaxPool" if isinstance(op, MaxPool2D) else "AveragePool"
    writer.node(kind, [writer.read(node.inputs[0], FIRST)], [writer.result(node, FIRST)], **geometry(op.slid))


_REDUCTIONS: Mapping[type[Op], str] = {
    Mean: "ReduceMean",
    ReduceMax: "ReduceMax",
    ReduceMin: "ReduceMin",
    ReduceProd: "ReduceProd",
    ReduceSum: "ReduceSum",
}


@exports(*_REDUCTIONS)
def reduction(writer: Writer, node: Node, sig: Signature) -> None:
    """Of images over their pixels there is an operator."""
    op = node.op
    if not isinstance(op, Reduction):
        raise TypeError(f"{op.kind} is no reduction")
    spatial = len(sig.input.shape) == 4 and op.axes == (1, 2)
    order = writer.order(node, sig) if op.keep_dims else FIRST if spatial and writer.is_first(node.inputs[0]) else LAST
    x, y = writer.read(node.inputs[0], order), writer.result(node, order if op.keep_dims else LAST)
    whole = "GlobalAveragePool" if isinstance(op, Mean) else "GlobalMaxPool" if isinstance(op, ReduceMax) else ""
    if whole and spatial and order == FIRST and op.keep_dims:
        return writer.node(whole, [x], [y])
    axes = writer.integers(f"{y}_axes", sorted(position(axis, order) for axis in op.axes))
    return writer.node(_REDUCTIONS[type(op)], [x, axes], [y], keepdims=int(op.keep_dims))


@exports(Softmax, LogSoftmax)
def softmax(writer: Writer, node: Node, sig: Signature) -> None:
    """Over the channels."""
    op, order = node.op, writer.order(node, sig)
    axis = position(len(sig.input.shape) - 1, order)
    steps: Steps = [("LogSoftmax" if isinstance(op, LogSoftmax) else "Softmax", [], {"axis": axis})]
    if isinstance(op, Softmax) and op.beta != 1:
        steps.insert(0, ("Mul", [writer.constant("beta", np.float32(op.beta))], {}))
    writer.chain(writer.read(node.inputs[0], order), writer.result(node, order), steps)


@exports(L2Normalization)
def l2_normalization(writer: Writer, node: Node, sig: Signature) -> None:
    """Over the channels."""
    order, y = writer.order(node, sig), node.outputs[0]
    x, squares, norm = (
        writer.read(node.inputs[0], order),
        writer.temporary(f"{y}_squares"),
        writer.temporary(f"{y}_norm"),
    )
    axes = writer.integers(f"{y}_axes", [position(len(sig.input.shape) - 1, order)])
    writer.node("Mul", [x, x], [squares])
    smallest = writer.constant(f"{y}_smallest", np.float32(SMALLEST_NORM))
    writer.chain(squares, norm, [("ReduceSum", [axes], {"keepdims": 1}), ("Sqrt", [], {}), ("Max", [smallest], {})])
    writer.node("Div", [x, norm], [writer.result(node, order)])


_FUNCTIONS: Mapping[type[Op], str] = {
    Abs: "Abs",
    Exp: "Exp",
    HardSwish: "HardSwish",
    Log: "Log",
    Logistic: "Sigmoid",
    Neg: "Neg",
    Relu: "Relu",
    Sign: "Sign",
    Sqrt: "Sqrt",
    Tanh: "Tanh",
}
_NAMED = {
    "ceil": "Ceil",
    "cos": "Cos",
    "erf": "Erf",
    "floor": "Floor",
    "reciprocal": "Reciprocal",
    "round": "Round",
    "sin": "Sin",
}


@exports(*_FUNCTIONS, ElementwiseFunction, Elu, Gelu, LeakyRelu, Rsqrt)
def function(writer: Writer, node: Node, sig: Signature) -> None:
    order = writer.order(node, sig)
    x = writer.read(node.inputs[0], order)
    steps = _steps(writer, node, x)
    writer.chain(x, writer.result(node, order), steps)


def _steps(writer: Writer, node: Node, x: str) -> Steps:
    match node.op:
        case LeakyRelu() | Elu() as op:
            return [("LeakyRelu" if isinstance(op, LeakyRelu) else "Elu", [], {"alpha": op.alpha})]
        case Gelu() as op:
            return [("Gelu", [], {"approximate": "tanh" if op.approximate else "none"})]
        case Rsqrt():
            return [("Sqrt", [], {}), ("Reciprocal", [], {})]
        case ElementwiseFunction(function="clip") as op:
            return limits(writer, node.outputs[0], (op.a, op.b))
        case ElementwiseFunction(function="square"):
            return [("Mul", [x], {})]
        case ElementwiseFunction(function=name) if name in _NAMED:
            return [(_NAMED[name], [], {})]
        case op if type(op) in _FUNCTIONS:
            return [(_FUNCTIONS[type(op)], [], {})]
        case op:
            raise Rejected(f"--calib has no form for the function of {op.title}")


_PAIRS: Mapping[type[Op], str] = {
    Add: "Add",
    Div: "Div",
    Maximum: "Max",
    Minimum: "Min",
    Mul: "Mul",
    Pow: "Pow",
    Prelu: "PRelu",
    Sub: "Sub",
}


@exports(*_PAIRS, SquaredDifference)
def pair(writer: Writer, node: Node, sig: Signature) -> None:
    order = writer.order(node, sig)
    a, b = (writer.read(value, order) for value in node.inputs)
    y = writer.result(node, order)
    if not isinstance(node.op, SquaredDifference):
        return writer.node(_PAIRS[type(node.op)], [a, b], [y])
    difference = writer.temporary(f"{y}_difference")
    writer.node("Sub", [a, b], [difference])
    return writer.node("Mul", [difference, difference], [y])

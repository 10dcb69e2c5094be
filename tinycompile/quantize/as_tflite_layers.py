"""How layers, pools, reductions and sums are written (`as_tflite_writer.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT4, INT8
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Node, Quantization, Signature, TensorType
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops._pool import Pool
from tinycompile.ops._reduce import Reduction
from tinycompile.ops._spatial import Padding, Window
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.quantize.as_tflite_writer import Writer, exports

SAME, VALID = int(tflite.Padding.SAME), int(tflite.Padding.VALID)
_INT4_WINDOWS, _INT4_MATRICES = 7, 10
"""Versions of convolutions and of FULLY_CONNECTED with INT4 weights."""
_NEAR = 1e-6
"""Part by which scales differ that only float32 keeps apart."""

STEPS_OFF = 2
"""By how many steps TFLite's fixed-point function may differ from the rounded one and still be the same function."""

PROBABILITIES = (1 / 256, -128)
"""Scale and zero point that TFLite demands of SOFTMAX and LOGISTIC."""


BOUNDS = {"NONE": (-np.inf, np.inf), "RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
"""Of the activations that TFLite fuses, by their names in the schema."""


def activation(writer: Writer, node: Node, clamp: tuple[int, int]) -> int:
    """The fused activation with these bounds: where the range does the same, that of the float network.

    Raises:
        Rejected: there is none.
    """
    quant = writer.quant(node.outputs[0])
    scale, zero_point = float(quant.scale[0]), int(quant.zero_point[0])
    for kind in (writer.activations.get(node.name, "NONE"), *BOUNDS):
        low, high = (int(np.clip(np.rint(b / scale) + zero_point, -128, 127)) for b in BOUNDS[kind])
        if (low, high) == tuple(clamp):
            return int(getattr(tflite.ActivationFunctionType, kind))
    raise Rejected(f"its result is clamped to {clamp[0]} ... {clamp[1]}, which no activation of TFLite does")


def same_padding(window: Window, size: Sequence[int], result: Sequence[int]) -> Padding | None:
    """What TFLite's SAME pads; None where its result has another size."""
    if [-(-n // s) for n, s in zip(size, window.stride, strict=True)] != list(result):
        return None
    found = list[int]()
    for axis in range(2):
        extent = (window.kernel[axis] - 1) * window.dilation[axis] + 1
        total = max((result[axis] - 1) * window.stride[axis] + extent - size[axis], 0)
        found += [total // 2, total - total // 2]
    return found[0], found[1], found[2], found[3]


def _padded(writer: Writer, node: Node, sig: Signature, window: Window) -> tuple[int, int]:
    """(operand, padding) of a layer: other padding than SAME and VALID is an operator before."""
    x, size, result = writer.value(node.inputs[0]), sig.input.shape[1:3], sig.output.shape[1:3]
    if not any(window.padding):
        return x, VALID
    if window.padding == same_padding(window, size, result):
        return x, SAME
    return _filled(writer, node, sig, window.padding, None), VALID


def _filled(writer: Writer, node: Node, sig: Signature, padding: Padding, fill: int | None) -> int:
    """An operator's image with what it pads, a number or what stands for 0."""
    top, bottom, left, right = padding
    (batch, rows, columns, channels), quant = sig.input.shape, writer.quant(node.inputs[0])
    shape = (batch, rows + top + bottom, columns + left + right, channels)
    padded = writer.tensor(f"{node.inputs[0]}_padded", shape, quant)
    amounts = writer.integers(f"{node.name}_padding", [[0, 0], [top, bottom], [left, right], [0, 0]])
    inputs = [writer.value(node.inputs[0]), amounts]
    if fill is None:
        writer.op("PAD", 2, inputs, [padded], "PadOptions")
    else:
        value = writer.constant(f"{node.name}_fill", np.array([fill], np.int8), quant)
        writer.op("PADV2", 2, [*inputs, value], [padded], "PadV2Options")
    return padded


def _is_bent(rule: Requant) -> bool:
    """Whether it is a function that no scale and zero point are."""
    return isinstance(rule, StepRequant) and not rule.is_straight()


def _weights(
    writer: Writer, node: Node, sig: Signature, axis: int, rule: Requant, *, packable: bool = True
) -> list[int]:
    """Weights and bias. Their scales are those that the layer's rule has: factors behind it are part of them.

    Args:
        packable: whether LiteRT's kernel takes INT4.
    """
    name = node.inputs[1]
    weights = writer.graph.constants.get(name)
    quant, x, y = sig.inputs[1].quant, writer.quant(node.inputs[0]), writer.quant(node.outputs[0])
    if weights is None or weights.dtype != np.int8 or quant is None:
        raise Rejected("its weights are no constants of int8")
    if _is_bent(rule):
        raise Rejected("its results are no straight line of its sums")
    count: int = np.moveaxis(weights, axis, 0).shape[0]
    real = np.broadcast_to(np.asarray(rule.real_scale(), np.float64), (count,))
    wanted = real * float(y.scale[0]) / float(x.scale[0])
    given = np.broadcast_to(quant.scale.astype(np.float64), (count,))
    scale = np.where(np.abs(wanted - given) <= _NEAR * given, given, wanted).astype(np.float32)
    one = bool(np.all(scale == scale[0]))
    scale, along = (scale[:1], None) if one else (scale, axis)
    dtype = INT4 if packable and writer.few_bits and INT4.mismatch(weights) is None else INT8
    found = [writer.constant(name, weights, Quantization(scale, np.zeros(scale.size, np.int64), along), dtype)]
    bias = writer.graph.constants[node.inputs[2]] if len(node.inputs) > 2 else np.zeros(count, np.int32)
    units = Quantization(scale * x.scale, np.zeros(scale.size, np.int64), None if one else 0)
    return [*found, writer.constant(f"{name}_bias", bias.astype(np.int32), units)]


def _clamp(writer: Writer, node: Node, rule: Requant) -> tuple[int, int]:
    """The bounds of a layer's results, as far as its sums go beyond."""
    least, largest = LinearLayer.of(writer.graph.site(node)).acc_range
    scale = rule.real_scale()
    low = float((least * scale).min()) + rule.zero_point
    high = float((largest * scale).max()) + rule.zero_point
    return -128 if low > rule.low - 0.5 else rule.low, 127 if high < rule.high + 0.5 else rule.high


def clamped(writer: Writer, node: Node, shape: tuple[int, ...], low: Array, high: Array) -> None:
    """An operand in the result's scale, which MAXIMUM and MINIMUM need, between int8 numbers: one, or one a channel."""
    x, y, source = writer.quant(node.inputs[0]), writer.quant(node.outputs[0]), writer.value(node.inputs[0])
    both = ("MAXIMUM", low, -128), ("MINIMUM", high, 127)
    kinds = [(kind, ends) for kind, ends, none in both if np.any(ends != none)]
    if not kinds:
        writer.requantise(source, writer.value(node.outputs[0]))
    elif not x.same_as(y):
        given, source = source, writer.tensor(f"{node.name}_rescaled", shape, y)
        writer.requantise(given, source)
    for number, (kind, ends) in enumerate(kinds, 1):
        last = number == len(kinds)
        made = writer.value(node.outputs[0]) if last else writer.tensor(f"{node.name}_above", shape, y)
        bound = writer.constant(f"{node.name}_{kind.lower()}", ends.astype(np.int8), y)
        writer.op(kind, 2, [source, bound], [made], "MaximumMinimumOptions")
        source = made


def _of_channels(writer: Writer, node: Node, sig: Signature, op: DepthwiseConv2D) -> None:
    """A function of single elements that differs from channel to channel (`onnx_channels.py`): what is between two
    numbers.
    """
    weights, count, values = writer.graph.constants[node.inputs[1]], sig.output.shape[3], INT8_VALUES
    if len(node.inputs) > 2 or weights.size != count:
        raise Rejected("its results are no straight line of its sums")
    of = TensorType((1, values.size, 1, count), INT8, sig.input.quant)
    whole = Signature((of, sig.inputs[1]), (replace(of, quant=sig.output.quant),))
    x = np.broadcast_to(values[:, None], (values.size, count)).reshape(of.shape)
    table = op.evaluate(whole, (x, weights))[0].reshape(-1, count).astype(np.int64)
    rescaled = Quantize(INT8).evaluate(Signature((of,), whole.outputs), (x,))[0].reshape(-1, count).astype(np.int64)
    low, high = table.min(axis=0), table.max(axis=0)
    if np.abs(rescaled.clip(low, high) - table).max() > STEPS_OFF:
        raise Rejected("it is a function that differs from channel to channel, and none of TFLite's")
    clamped(writer, node, sig.output.shape, low, high)


@exports(Conv2D, DepthwiseConv2D)
def convolution(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Conv2D | DepthwiseConv2D) or sig.input.dtype != INT8:
        raise Rejected("its activations aren't int8")
    window, rule = op.window_of(sig), op.requant(sig)
    if isinstance(op, DepthwiseConv2D) and _is_bent(rule):
        _of_channels(writer, node, sig, op)
        return
    x, padding = _padded(writer, node, sig, window)
    inputs = [x, *_weights(writer, node, sig, op.weight_axis, rule)]
    packed = writer.tensors[inputs[1]].dtype == INT4
    options = {
        "Padding": padding,
        "StrideH": window.stride[0],
        "StrideW": window.stride[1],
        "DilationHFactor": window.dilation[0],
        "DilationWFactor": window.dilation[1],
        "FusedActivationFunction": activation(writer, node, _clamp(writer, node, rule)),
    }
    result = [writer.value(node.outputs[0])]
    if isinstance(op, Conv2D):
        version = _INT4_WINDOWS if packed else 3 if op.groups(sig) == 1 else 6
        writer.op("CONV_2D", version, inputs, result, "Conv2DOptions", **options)
        return
    options["DepthMultiplier"] = sig.output.shape[3] // sig.input.shape[3]
    writer.op("DEPTHWISE_CONV_2D", _INT4_WINDOWS if packed else 3, inputs, result, "DepthwiseConv2DOptions", **options)


@exports(FullyConnected)
def fully_connected(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, FullyConnected) or sig.input.dtype != INT8:
        raise Rejected("its activations aren't int8")
    rule = op.requant(sig)
    inputs = [writer.value(node.inputs[0]), *_weights(writer, node, sig, 0, rule)]
    keep = len(sig.output.shape) > 2
    version = _INT4_MATRICES if writer.tensors[inputs[1]].dtype == INT4 else 5 if keep else 4
    fused = activation(writer, node, _clamp(writer, node, rule))
    writer.op(
        "FULLY_CONNECTED",
        version,
        inputs,
        [writer.value(node.outputs[0])],
        "FullyConnectedOptions",
        FusedActivationFunction=fused,
        KeepNumDims=keep,
    )


@exports(TransposeConv)
def transpose_conv(writer: Writer, node: Node, sig: Signature) -> None:
    """TFLite's padding follows from the sizes, so that other cuts of the full result are an operator behind."""
    op = node.op
    if not isinstance(op, TransposeConv) or op.rule is None or op.groups(sig) != 1 or op.dilation != (1, 1):
        raise Rejected("it has groups or dilations")
    kernel = sig.inputs[1].shape[1:3]
    full = [(n - 1) * s + k for n, s, k in zip(sig.input.shape[1:3], op.stride, kernel, strict=True)]
    ends = [n - c - size for n, c, size in zip(full, op.cut, op.size, strict=True)]
    if min(ends) < 0:
        raise Rejected(f"its output of {op.size} is larger than its input and stride make it")
    x, weights, bias = writer.value(node.inputs[0]), *_weights(writer, node, sig, 0, op.rule, packable=False)
    shape = (1, *full, sig.output.shape[3])
    quant, result = writer.quant(node.outputs[0]), writer.value(node.outputs[0])
    whole = result if full == list(op.size) else writer.tensor(f"{node.outputs[0]}_uncut", shape, quant)
    options = {"Padding": VALID, "StrideH": op.stride[0], "StrideW": op.stride[1]}
    options["FusedActivationFunction"] = activation(writer, node, (op.rule.low, op.rule.high))
    size = writer.integers(f"{node.name}_size", shape)
    writer.op("TRANSPOSE_CONV", 3, [size, weights, x, bias], [whole], "TransposeConvOptions", **options)
    if whole != result:
        begin, kept = writer.integers(f"{node.name}_begin", [0, *op.cut, 0]), sig.output.shape
        writer.op("SLICE", 2, [whole, begin, writer.integers(f"{node.name}_kept", kept)], [result], "SliceOptions")


@exports(Add, Sub, Mul)
def arithmetic(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Add | Sub | Mul):
        raise Rejected("it is no sum or product")
    kind = {Add: "ADD", Sub: "SUB", Mul: "MUL"}[type(op)]
    for name in (*node.inputs, *node.outputs):
        writer.quant(name)
    fused = activation(writer, node, op.clamp)
    inputs, result = [writer.value(name) for name in node.inputs], [writer.value(node.outputs[0])]
    writer.op(kind, 2, inputs, result, f"{kind.capitalize()}Options", FusedActivationFunction=fused)


@exports(Maximum, Minimum)
def extremum(writer: Writer, node: Node, sig: Signature) -> None:
    """Operands and result have one scale."""
    op = node.op
    quant = writer.quant(node.outputs[0])
    if not isinstance(op, Maximum | Minimum) or tuple(op.clamp) != (-128, 127):
        raise Rejected("its result is clamped, which TFLite's operator doesn't do")
    inputs = [writer.operand_with(name, quant) for name in node.inputs]
    kind = "MAXIMUM" if isinstance(op, Maximum) else "MINIMUM"
    writer.op(kind, 2, inputs, [writer.value(node.outputs[0])], "MaximumMinimumOptions")


@exports(AveragePool2D, MaxPool2D)
def pool(writer: Writer, node: Node, sig: Signature) -> None:
    """The result has the operand's scale; padding counts for nothing."""
    op, name = node.op, node.inputs[0]
    if not isinstance(op, Pool) or op.dilation != (1, 1):
        raise Rejected("it has dilations")
    window, x, quant = op.slid, writer.value(name), writer.quant(name)
    size, result = sig.input.shape[1:3], sig.output.shape[1:3]
    padding = VALID if not any(window.padding) else SAME
    if padding == SAME and window.padding != same_padding(window, size, result):
        if not isinstance(op, MaxPool2D):
            raise Rejected(f"padding {window.padding}, TFLite has none of its own or that of SAME")
        x, padding = _filled(writer, node, sig, window.padding, -128), VALID
    kind = "AVERAGE_POOL_2D" if isinstance(op, AveragePool2D) else "MAX_POOL_2D"
    clamp = (op.rule.low, op.rule.high) if isinstance(op, AveragePool2D) and op.rule is not None else op.clamp
    options = {
        "Padding": padding,
        "StrideH": window.stride[0],
        "StrideW": window.stride[1],
        "FilterHeight": window.kernel[0],
        "FilterWidth": window.kernel[1],
        "FusedActivationFunction": activation(writer, node, clamp),
    }
    writer.result_with(node.outputs[0], quant, lambda made: writer.op(kind, 2, [x], [made], "Pool2DOptions", **options))


_REDUCERS = {"mean": "MEAN", "reduce_sum": "SUM", "reduce_max": "REDUCE_MAX", "reduce_min": "REDUCE_MIN"}
"""By kind."""


@exports(Mean, ReduceSum, ReduceMax, ReduceMin)
def reduction(writer: Writer, node: Node, sig: Signature) -> None:
    op, x = node.op, writer.value(node.inputs[0])
    if not isinstance(op, Reduction) or sig.input.dtype != INT8:
        raise Rejected("its operand isn't int8")
    inputs = [x, writer.integers(f"{node.name}_axes", op.axes)]

    def write(made: int) -> None:
        writer.op(_REDUCERS[op.kind], 2, inputs, [made], "ReducerOptions", KeepDims=op.keep_dims)

    if isinstance(op, Mean | ReduceSum):
        rule = op.rule
        if rule is not None and (rule.low, rule.high) != (-128, 127):
            raise Rejected("its result is clamped, which TFLite's operator doesn't do")
        write(writer.value(node.outputs[0]))
        return
    writer.result_with(node.outputs[0], writer.quant(node.inputs[0]), write)


@exports(Softmax)
def softmax(writer: Writer, node: Node, sig: Signature) -> None:
    op, x = node.op, writer.value(node.inputs[0])
    if not isinstance(op, Softmax) or sig.input.dtype != INT8:
        raise Rejected("its operand isn't int8")
    beta = op.beta
    writer.result_with(
        node.outputs[0],
        Quantization.per_tensor(*PROBABILITIES),
        lambda made: writer.op("SOFTMAX", 2, [x], [made], "SoftmaxOptions", Beta=beta),
    )


@exports(Concatenation)
def concatenation(writer: Writer, node: Node, sig: Signature) -> None:
    """Operands have the result's scale."""
    op = node.op
    if not isinstance(op, Concatenation):
        raise Rejected("it is no concatenation")
    quant = writer.quant(node.outputs[0])
    inputs = [writer.operand_with(name, quant) for name in node.inputs]
    writer.op("CONCATENATION", 2, inputs, [writer.value(node.outputs[0])], "ConcatenationOptions", Axis=op.axis)

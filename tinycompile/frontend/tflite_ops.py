"""One function per TFLite operator: reads its options and adds the nodes that mean the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tflite

from tinycompile.frontend.tflite_scope import Options, Rejected, Scope, resolved_shape
from tinycompile.ir import Op, TensorType
from tinycompile.ops._spatial import Padding, same_padding
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.pad import Pad
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh
from tinycompile.ops.transpose import Transpose

Importer = Callable[[Scope], None]
IMPORTERS: dict[str, Importer] = {}

Activation = tflite.ActivationFunctionType
_REAL_RANGE: dict[int, tuple[float, float]] = {
    Activation.NONE: (-np.inf, np.inf),
    Activation.RELU: (0, np.inf),
    Activation.RELU6: (0, 6),
    Activation.RELU_N1_TO_1: (-1, 1),
}


def importer(*names: str) -> Callable[[Importer], Importer]:
    """Decorator: the function imports these operators, named as in the schema's `BuiltinOperator`."""

    def register(function: Importer) -> Importer:
        IMPORTERS.update(dict.fromkeys(names, function))
        return function

    return register


def clamp_range(activation: int, y: TensorType) -> tuple[int, int]:
    """int8 range that an activation leaves of the output (`CalculateActivationRangeQuantized`)."""
    if activation not in _REAL_RANGE:
        raise Rejected(f"the fused activation number {activation} is not RELU, RELU6 or RELU_N1_TO_1")
    if y.quant is None or not y.quant.is_per_tensor or y.dtype != "int8":
        return -128, 127  # the operator's own rule says what is wrong with that
    low, high = (_quantized(bound, y) for bound in _REAL_RANGE[activation])
    return max(-128, low), min(127, high)


def _quantized(bound: float, y: TensorType) -> int:
    """float32 division, then halves away from zero; saturates far outside of int8."""
    with np.errstate(over="ignore"):
        quotient = float(np.float32(bound) / np.float32(y.scale))
    limited = min(max(quotient, -1e6), 1e6)
    return y.zero_point + int(np.copysign(np.floor(abs(limited) + 0.5), limited))


def _fused(scope: Scope, options: Options) -> tuple[int, int]:
    return clamp_range(options.integer("FusedActivationFunction"), scope.output_type())


def _window_padding(
    scope: Scope, options: Options, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Padding:
    """Explicit padding for SAME and VALID."""
    shape = scope.input_type().shape
    if len(shape) != 4:
        raise scope.fail(f"the input has {len(shape)} dimensions instead of 4")
    scheme = options.integer("Padding")
    if scheme == tflite.Padding.VALID:
        return 0, 0, 0, 0
    if scheme != tflite.Padding.SAME:
        raise scope.fail(f"the padding scheme is {scheme}")
    rows, columns = (same_padding(shape[i + 1], kernel[i], stride[i], dilation[i]) for i in range(2))
    return (*rows, *columns)


def _weights(scope: Scope, dimensions: int) -> tuple[list[str], tuple[int, ...]]:
    """Values of the weights and, if there is one, the bias; and the weights' shape."""
    shape = scope.constant(1, "the weight tensor").shape
    if len(shape) != dimensions or 0 in shape:
        raise scope.fail(f"the weights have the shape {list(shape)}")
    operands = [scope.input(1)]
    if scope.has(2):
        scope.constant(2, "the bias")
        operands.append(scope.input(2))
    return operands, shape


@importer("CONV_2D")
def conv_2d(scope: Scope) -> None:
    options = scope.options(tflite.Conv2DOptions)
    weights, (_, kh, kw, _) = _weights(scope, 4)
    stride = options.positive("StrideH", "StrideW")
    dilation = options.positive("DilationHFactor", "DilationWFactor")
    padding = _window_padding(scope, options, (kh, kw), stride, dilation)
    scope.emit(Conv2D(stride, dilation, padding, _fused(scope, options)), [scope.input(), *weights])


@importer("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(scope: Scope) -> None:
    options = scope.options(tflite.DepthwiseConv2DOptions)
    weights, (_, kh, kw, outputs) = _weights(scope, 4)
    stride = options.positive("StrideH", "StrideW")
    dilation = options.positive("DilationHFactor", "DilationWFactor")
    padding = _window_padding(scope, options, (kh, kw), stride, dilation)
    multiplier = options.integer("DepthMultiplier")
    if multiplier and multiplier * scope.input_type().shape[3] != outputs:
        raise scope.fail(f"depth multiplier {multiplier} for weights with {outputs} output channels")
    scope.emit(DepthwiseConv2D(stride, dilation, padding, _fused(scope, options)), [scope.input(), *weights])


@importer("FULLY_CONNECTED")
def fully_connected(scope: Scope) -> None:
    """TFLite flattens an input of any shape to rows of C_in elements."""
    options = scope.options(tflite.FullyConnectedOptions)
    if options.integer("WeightsFormat") != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise Rejected("the weights are in a shuffled format")
    weights, (outputs, depth) = _weights(scope, 2)
    x, y = scope.input_type(), scope.output_type()
    op = FullyConnected(_fused(scope, options))
    if x.shape and x.shape[-1] == depth and y.shape == (*x.shape[:-1], outputs):
        return scope.emit(op, [scope.input(), *weights])
    rows, rest = divmod(x.elements, depth)
    if rest:
        raise scope.fail(f"an input of {x.elements} elements for weights {outputs}x{depth}")
    flat_x = scope.temporary("input", TensorType((rows, depth), x.dtype, x.quant))
    flat_y = scope.temporary("rows", TensorType((rows, outputs), y.dtype, y.quant))
    scope.emit(Reshape((rows, depth)), [scope.input()], flat_x)
    scope.emit(op, [flat_x, *weights], flat_y)
    return scope.emit(Reshape(y.shape), [flat_y])


@importer("ADD")
def add(scope: Scope) -> None:
    clamp = _fused(scope, scope.options(tflite.AddOptions))
    scope.emit(Add(clamp), [scope.input(0), scope.input(1)])


@importer("SUB")
def sub(scope: Scope) -> None:
    clamp = _fused(scope, scope.options(tflite.SubOptions))
    scope.emit(Sub(clamp), [scope.input(0), scope.input(1)])


@importer("MUL")
def mul(scope: Scope) -> None:
    clamp = _fused(scope, scope.options(tflite.MulOptions))
    scope.emit(Mul(clamp), [scope.input(0), scope.input(1)])


@importer("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool_2d(scope: Scope) -> None:
    options = scope.options(tflite.Pool2DOptions)
    kernel = options.positive("FilterHeight", "FilterWidth")
    stride = options.positive("StrideH", "StrideW")
    padding = _window_padding(scope, options, kernel, stride, (1, 1))
    pool = MaxPool2D if scope.operator.name == "MAX_POOL_2D" else AveragePool2D
    scope.emit(pool(kernel, stride, padding, _fused(scope, options)), [scope.input()])


@importer("MEAN")
def mean(scope: Scope) -> None:
    rank = len(scope.input_type().shape)
    axes = {_axis(axis, rank) for axis in scope.integers(1, "the list of axes")}
    keep_dims = scope.options(tflite.ReducerOptions).flag("KeepDims")
    scope.emit(Mean(tuple(sorted(axes)), keep_dims), [scope.input()])


@importer("SOFTMAX")
def softmax(scope: Scope) -> None:
    scope.emit(Softmax(scope.options(tflite.SoftmaxOptions).real("Beta")), [scope.input()])


@importer("RELU", "RELU6", "RELU_N1_TO_1")
def relu(scope: Scope) -> None:
    activation = getattr(Activation, scope.operator.name)
    scope.emit(Relu(clamp_range(activation, scope.output_type())), [scope.input()])


@importer("LEAKY_RELU")
def leaky_relu(scope: Scope) -> None:
    scope.emit(LeakyRelu(scope.options(tflite.LeakyReluOptions).real("Alpha")), [scope.input()])


def _plain(name: str, op: Op) -> None:
    """An operator with one operand and no options."""
    importer(name)(lambda scope: scope.emit(op, [scope.input()]))


_plain("DEQUANTIZE", Dequantize())
_plain("HARD_SWISH", HardSwish())
_plain("LOGISTIC", Logistic())
_plain("TANH", Tanh())


@importer("QUANTIZE")
def quantize(scope: Scope) -> None:
    scope.emit(Quantize(scope.output_type().dtype), [scope.input()])


@importer("PAD", "PADV2")
def pad(scope: Scope) -> None:
    amounts = scope.integers(1, "the padding")
    pairs = tuple(zip(amounts[::2], amounts[1::2], strict=False))
    y = scope.output_type()
    if scope.operator.name == "PADV2":
        fill = scope.constant(2, "the fill value")
        if fill.size != 1 or fill.dtype.name != y.dtype:
            raise scope.fail(f"the fill value is {fill.dtype.name}{list(fill.shape)}")
        quant = scope.input_type(2).quant
        if y.quant is not None and not y.quant.same_as(quant):
            raise Rejected("the fill value and the output differ in scale or zero point")
        value = int(fill.ravel()[0])
    else:
        value = y.zero_point if y.quant is not None and y.quant.is_per_tensor else 0
    scope.emit(Pad(pairs, value), [scope.input()])


@importer("RESHAPE")
def reshape(scope: Scope) -> None:
    """The wanted shape is an operand; older files leave it to the result's type."""
    elements = scope.input_type().elements
    wanted = scope.integers(1, "the shape") if scope.has(1) else scope.output_type().shape
    scope.emit(Reshape(resolved_shape(scope, wanted, elements)), [scope.input()])


@importer("SQUEEZE")
def squeeze(scope: Scope) -> None:
    scope.emit(Reshape(scope.output_type().shape), [scope.input()])


@importer("EXPAND_DIMS")
def expand_dims(scope: Scope) -> None:
    """The only one of the operators that reshape which LiteRT refuses where the result has another quantisation."""
    x, y = scope.input_type(), scope.output_type()
    if x.quant is not None and not x.quant.same_as(y.quant):
        raise Rejected("input and output differ in scale or zero point, and the operator does not rescale")
    scope.emit(Reshape(y.shape), [scope.input()])


@importer("TRANSPOSE")
def transpose(scope: Scope) -> None:
    rank = len(scope.input_type().shape)
    permutation = tuple(_axis(axis, rank) for axis in scope.integers(1, "the permutation"))
    scope.emit(Transpose(permutation), [scope.input()])


@importer("CONCATENATION")
def concatenation(scope: Scope) -> None:
    options = scope.options(tflite.ConcatenationOptions)
    if options.integer("FusedActivationFunction") != Activation.NONE:
        raise Rejected("it has a fused activation")
    axis = _axis(options.integer("Axis"), len(scope.input_type().shape))
    scope.emit(Concatenation(axis), scope.inputs())


@importer("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest_neighbor(scope: Scope) -> None:
    options = scope.options(tflite.ResizeNearestNeighborOptions)
    size = scope.integers(1, "the size")
    if len(size) != 2:
        raise scope.fail(f"the size {size} is not a pair")
    op = ResizeNearestNeighbor((size[0], size[1]), options.flag("AlignCorners"), options.flag("HalfPixelCenters"))
    scope.emit(op, [scope.input()])


def _axis(axis: int, rank: int) -> int:
    """Negative axes count from the end."""
    return axis + rank if axis < 0 else axis

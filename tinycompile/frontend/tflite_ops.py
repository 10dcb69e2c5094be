"""One function per TFLite operator: reads its options and adds the nodes that mean the same.

Families of operators have modules of their own, which this one lists.
"""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT16, FLOAT32, INT8, INT16, DType
from tinycompile.frontend import (
    tflite_boxes,
    tflite_composed,
    tflite_control,
    tflite_elementwise,
    tflite_gathers,
    tflite_hybrid,
    tflite_linalg,
    tflite_moves,
    tflite_recurrent,
    tflite_reductions,
    tflite_signal,
    tflite_variables,
    tflite_volumes,
)
from tinycompile.frontend.tflite_activations import (
    Activation,
    bounds_of,
    emit_activated,
    fused_range,
)
from tinycompile.frontend.tflite_axes import axis_of
from tinycompile.frontend.tflite_batches import emit_images
from tinycompile.frontend.tflite_moves import reshaped
from tinycompile.frontend.tflite_quantization import dequantized
from tinycompile.frontend.tflite_registry import IMPORTERS, importer, plain
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import PACKED, Rejected, Scope, unpacked
from tinycompile.frontend.tflite_shapes import expanded, squeezed, wanted_shape
from tinycompile.frontend.tflite_windows import window_padding
from tinycompile.ir import Quantization, TensorType
from tinycompile.ops._arithmetic.hybrid import is_hybrid
from tinycompile.ops._rules import wrong_dtype
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
from tinycompile.ops.pad import Pad
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.tanh import Tanh
from tinycompile.ops.transpose import Transpose

__all__ = ["IMPORTERS"]

FAMILIES = (
    tflite_boxes,
    tflite_control,
    tflite_composed,
    tflite_elementwise,
    tflite_gathers,
    tflite_hybrid,
    tflite_linalg,
    tflite_moves,
    tflite_recurrent,
    tflite_reductions,
    tflite_signal,
    tflite_variables,
    tflite_volumes,
)
"""Modules with more importers."""


def _weights(scope: Scope, dimensions: int) -> tuple[list[str], tuple[int, ...]]:
    """Values of the weights and, if there is one, the bias; and the weights' shape."""
    shape = scope.constant(1, "the weight tensor").shape
    tflite_hybrid.refuse_tflm(scope, scope.input_type(), scope.input_type(1))
    if len(shape) != dimensions or 0 in shape:
        raise scope.fail(f"the weights have the shape {list(shape)}")
    operands = [unpacked(scope, 1)]
    if scope.has(2):
        scope.constant(2, "the bias")
        operands.append(scope.input(2))
    return operands, shape


@importer("CONV_2D", options=tflite.Conv2DOptions, versions=8)
def conv_2d(scope: Scope) -> None:
    options = scope.options
    weights, (_, kh, kw, _) = _weights(scope, 4)
    stride = options.positive("StrideH", "StrideW")
    dilation = options.positive("DilationHFactor", "DilationWFactor")
    padding = window_padding(scope, (kh, kw), stride, dilation)
    tflite_linalg.check_bias_type(scope)
    op = Conv2D(stride, dilation, padding, fused_range(scope), bounds=bounds_of(scope))
    emit_images(scope, op, [scope.input(), *weights])


@importer("DEPTHWISE_CONV_2D", options=tflite.DepthwiseConv2DOptions, versions=7)
def depthwise_conv_2d(scope: Scope) -> None:
    options = scope.options
    weights, (_, kh, kw, _) = _weights(scope, 4)
    stride = options.positive("StrideH", "StrideW")
    dilation = options.positive("DilationHFactor", "DilationWFactor")
    padding = window_padding(scope, (kh, kw), stride, dilation)
    options.without_effect("DepthMultiplier")  # it follows from the weights
    op = DepthwiseConv2D(stride, dilation, padding, fused_range(scope), bounds=bounds_of(scope))
    emit_images(scope, op, [scope.input(), *weights])


def _without_zero_point(scope: Scope, weights: str) -> str:
    """The weights of FULLY_CONNECTED minus their only zero point, in int8 where they fit.

    With one scale per output, or a float input, LiteRT ignores zero points, as DEPTHWISE_CONV_2D always does; CONV_2D
    refuses them.
    """
    t = scope.input_type(1)
    if (
        scope.input_type().dtype == FLOAT32
        or t.quant is None
        or not t.quant.is_per_tensor
        or t.dtype.is_float
        or not t.quant.zero_point.any()
    ):
        return weights
    values = scope.constant(1, "the weight tensor").astype(np.int16) - np.int16(t.quant.zero_point[0])
    narrow = values.min() >= -128 and values.max() <= 127
    values = values.astype(np.int8) if narrow else values
    quant = Quantization.per_tensor(float(t.quant.scale[0]), 0)
    return scope.derived("weights", TensorType(t.shape, DType.of(values.dtype), quant), values)


@importer("FULLY_CONNECTED", options=tflite.FullyConnectedOptions, versions=14)
def fully_connected(scope: Scope) -> None:
    """An input of any shape is rows of C_in elements; the result has the input's axes where `keep_num_dims` says so."""
    options = scope.options
    computed = (INT16,) if scope.known(1) is None else ()
    reason = wrong_dtype(scope.input_type(1), "the weight tensor", FLOAT32, INT8, *PACKED, *computed)
    if reason is not None:
        raise Rejected(reason)
    if options.integer("WeightsFormat") != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise Rejected("its option weights_format is not DEFAULT: the weights are shuffled")
    tflite_linalg.check_bias_type(scope)
    asymmetric = options.flag("AsymmetricQuantizeInputs") and is_hybrid(scope.signature())
    op = FullyConnected(fused_range(scope), bounds=bounds_of(scope), asymmetric=asymmetric, runtime=scope.runtime)
    x, keep_axes = scope.input_type(), options.flag("KeepNumDims")
    if scope.known(1) is None:
        product = tflite_linalg.by_computed_weights(scope, op)
        rows = x.shape if keep_axes else (x.elements // x.shape[-1], x.shape[-1])
        return emit_activated(scope, product, [reshaped(scope, scope.input(), rows, "rows"), scope.input(1)])
    weights, (outputs, depth) = _weights(scope, 2)
    weights[0] = _without_zero_point(scope, weights[0])
    if keep_axes and x.shape[-1:] != (depth,):
        raise scope.fail(f"an input of the shape {list(x.shape)} for weights {outputs}x{depth}")
    if keep_axes or x.shape[1:] == (depth,):
        return scope.emit(op, [scope.input(), *weights])
    rows, rest = divmod(x.elements, depth)
    if rest:
        raise scope.fail(f"an input of {x.elements} elements for weights {outputs}x{depth}")
    flat = scope.temporary("input", TensorType((rows, depth), x.dtype, x.quant))
    scope.emit(Reshape((rows, depth)), [scope.input()], flat)
    return scope.emit(op, [flat, *weights])


@importer("AVERAGE_POOL_2D", "MAX_POOL_2D", options=tflite.Pool2DOptions, versions=3)
def pool_2d(scope: Scope) -> None:
    options = scope.options
    kernel = options.positive("FilterHeight", "FilterWidth")
    stride = options.positive("StrideH", "StrideW")
    padding = window_padding(scope, kernel, stride, (1, 1))
    pool = MaxPool2D if scope.operator.name == "MAX_POOL_2D" else AveragePool2D
    op = pool(kernel, stride, padding, fused_range(scope))
    emit_activated(scope, op, [scope.input()], each_image=True)


@importer("SOFTMAX", options=tflite.SoftmaxOptions, versions=4)
def softmax(scope: Scope) -> None:
    scope.emit(Softmax(scope.options.real("Beta"), runtime=scope.runtime), [scope.input()])


@importer("LEAKY_RELU", options=tflite.LeakyReluOptions, versions=2)
def leaky_relu(scope: Scope) -> None:
    alpha = scope.options.real("Alpha")
    if not alpha >= 0 and scope.input_type().dtype != FLOAT32:
        raise Rejected(f"its option alpha is {alpha}, supported is a slope of at least 0")
    scope.emit(LeakyRelu(alpha, scope.runtime), [scope.input()])


plain("HARD_SWISH", HardSwish(), 1, tflite.HardSwishOptions, 1)
plain("LOGISTIC", Logistic(), 1, None, 3)


@importer("TANH", versions=3)
def tanh(scope: Scope) -> None:
    scope.emit(Tanh(scope.runtime), [scope.input()])


@importer("DEQUANTIZE", options=tflite.DequantizeOptions, versions=9)
def dequantize(scope: Scope) -> None:
    """Of a constant it is computed here: that is how files have weights of fewer bits in a model of floats."""
    value, x = scope.known(0), scope.input_type()
    if value is None:
        return scope.emit(Dequantize(), [scope.input()])
    if x.dtype == FLOAT16:
        return scope.fold(value.astype(np.float32))
    if x.quant is None:
        raise Rejected(f"the constant is {x.dtype} without quantisation parameters")
    if scope.runtime == "tflm" and not x.quant.is_per_tensor:
        raise Rejected("TFLM dequantises every channel with the scale of the first; --match litert reads all of them")
    return scope.fold(dequantized(value, x.quant))


@importer("QUANTIZE", options=tflite.QuantizeOptions, versions=6)
def quantize(scope: Scope) -> None:
    scope.emit(Quantize(scope.output_type().dtype), [scope.input()])


@importer("PAD", options=tflite.PadOptions, versions=6)
@importer("PADV2", options=tflite.PadV2Options, versions=6)
def pad(scope: Scope) -> None:
    amounts = scope.integers(1, "the padding")
    pairs = tuple(zip(amounts[::2], amounts[1::2], strict=False))
    y = scope.output_type()
    if scope.operator.name == "PADV2":
        fill = scope.constant(2, "the fill value")
        if fill.size != 1 or fill.dtype != y.dtype.carrier:
            raise scope.fail(f"the fill value is {fill.dtype.name}{list(fill.shape)}")
        quant = scope.input_type(2).quant
        if y.quant is not None and (quant is None or not quant.same_as(y.quant)):
            raise Rejected("the fill value has another scale or zero point than the output")  # LiteRT refuses it, too
        value = fill.ravel()[0].item()
    else:
        value = y.zero_point if y.quant is not None and y.quant.is_per_tensor else 0
    scope.emit(Pad(pairs, value), [scope.input()])


@importer("RESHAPE", options=tflite.ReshapeOptions, versions=1)
def reshape(scope: Scope) -> None:
    scope.emit(Reshape(wanted_shape(scope, scope.input_type().shape)), [scope.input()])


@importer("SQUEEZE", options=tflite.SqueezeOptions, versions=2)
def squeeze(scope: Scope) -> None:
    scope.emit(Reshape(squeezed(scope, scope.input_type().shape)), [scope.input()])


@importer("EXPAND_DIMS", options=tflite.ExpandDimsOptions, versions=1)
def expand_dims(scope: Scope) -> None:
    """The only one of the operators that reshape which LiteRT refuses where the result has another quantisation."""
    x, y = scope.input_type(), scope.output_type()
    if x.quant is not None and not x.quant.same_as(y.quant):
        raise Rejected("input and output differ in scale or zero point, and the operator does not rescale")
    scope.emit(Reshape(expanded(scope, x.shape, scope.integers(1, "the axis"))), [scope.input()])


@importer("TRANSPOSE", options=tflite.TransposeOptions, versions=9)
def transpose(scope: Scope) -> None:
    rank = len(scope.input_type().shape)
    permutation = tuple(axis_of(scope, axis, rank) for axis in scope.integers(1, "the permutation"))
    scope.emit(Transpose(permutation), [scope.input()])


@importer("CONCATENATION", options=tflite.ConcatenationOptions, versions=7)
def concatenation(scope: Scope) -> None:
    options = scope.options
    if options.integer("FusedActivationFunction") != Activation.NONE:
        raise Rejected("its option fused_activation_function is not NONE")
    axis = axis_of(scope, options.integer("Axis"), len(scope.input_type().shape))
    scope.emit(Concatenation(axis), scope.inputs())


@importer("RESIZE_NEAREST_NEIGHBOR", options=tflite.ResizeNearestNeighborOptions, versions=4)
def resize_nearest_neighbor(scope: Scope) -> None:
    options = scope.options
    size = scope.integers(1, "the size")
    if len(size) != 2:
        raise scope.fail(f"the size {size} is not a pair")
    op = ResizeNearestNeighbor((size[0], size[1]), options.flag("AlignCorners"), options.flag("HalfPixelCenters"))
    scope.emit(op, [scope.input()])

"""Products of matrices, transposed convolutions, convolutions of volumes, linear interpolation."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, DType
from tinycompile.frontend import tflite_hybrid
from tinycompile.frontend.tflite_activations import emit_activated, fused_range
from tinycompile.frontend.tflite_batches import emit_images
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope, unpacked
from tinycompile.ir import Array, Op, Quantization, Signature, TensorType
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.ops._rules import invalid
from tinycompile.ops._spatial import same_padding
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.transpose_conv import TransposeConv


def check_bias_type(scope: Scope, x: int = 0, bias: int = 2) -> None:
    """LiteRT reads a bias of int16 activations as int64 unless the option says int32, whatever its type is.

    Args:
        x, bias: which operands they are.
    """
    said = scope.options.integer("QuantizedBiasType")
    wide = scope.input_type(x).dtype == INT16 and scope.has(bias)
    if wide and scope.input_type(bias).dtype == INT32 and said != tflite.TensorType.INT32:
        raise Rejected(f"the bias is int32, its option quantized_bias_type is {said}: LiteRT reads it as int64")


@importer("TRANSPOSE_CONV", options=tflite.TransposeConvOptions, versions=5)
def transpose_conv(scope: Scope) -> None:
    """Operands: the output's shape, the weights, the input, optionally the bias."""
    options = scope.options
    shape = scope.integers(0, "the shape of the output")
    weights = scope.constant(1, "the weight tensor").shape
    if len(shape) != 4 or min(shape) < 1 or len(weights) != 4 or 0 in weights:
        raise scope.fail(f"an output of the shape {shape} with weights of the shape {list(weights)}")
    x = scope.input_type(2).shape
    if len(x) != 4 or (shape[0], shape[3], weights[3]) != (x[0], weights[0], x[3]):
        raise scope.fail(f"an output of the shape {shape} from {list(x)} with weights of the shape {list(weights)}")
    stride = options.positive("StrideH", "StrideW")
    cut = _cut(scope, shape[1:3], weights[1:3], stride)
    clamp = fused_range(scope)
    tflite_hybrid.refuse_tflm(scope, scope.input_type(2), scope.input_type(1))
    operands = [scope.input(2), unpacked(scope, 1)]
    if scope.has(3):
        scope.constant(3, "the bias")
        operands.append(scope.input(3))
    check_bias_type(scope, 2, 3)
    op = TransposeConv((shape[1], shape[2]), stride, cut=cut, clamp=clamp)
    emit_activated(scope, op, operands, each_image=True)


def _cut(scope: Scope, size: list[int], kernel: tuple[int, ...], stride: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns before the output: the padding of the convolution that goes from the output to the input."""
    scheme = scope.options.integer("Padding")
    if scheme not in (tflite.Padding.SAME, tflite.Padding.VALID):
        raise scope.fail(f"its option padding is {scheme}")
    cut, same = [0, 0], scheme == tflite.Padding.SAME
    for axis in range(2):
        read = size[axis] if same else size[axis] - kernel[axis] + 1
        inputs, found = -(-read // stride[axis]), scope.input_type(2).shape[axis + 1]
        if inputs != found:  # LiteRT refuses it, too
            what = ("rows", "columns")[axis]
            raise scope.fail(f"an output of {size[axis]} {what} comes from {inputs}, the file says {found}")
        if same:
            cut[axis] = same_padding(size[axis], kernel[axis], stride[axis], 1)[0]
    return cut[0], cut[1]


@importer("RESIZE_BILINEAR", options=tflite.ResizeBilinearOptions, versions=4)
def resize_bilinear(scope: Scope) -> None:
    options = scope.options
    size = scope.integers(1, "the size")
    if len(size) != 2 or min(size) < 1:
        raise scope.fail(f"the size {size} is not a pair of lengths")
    op = ResizeBilinear((size[0], size[1]), options.flag("AlignCorners"), options.flag("HalfPixelCenters"))
    emit_images(scope, op, [scope.input()])


@importer("BATCH_MATMUL", options=tflite.BatchMatMulOptions, versions=4)
def batch_matmul(scope: Scope) -> None:
    """Rows times one constant matrix are a FULLY_CONNECTED that rounds as this operator does."""
    options = scope.options
    x, y = scope.input_type(0), scope.input_type(1)
    if not 2 <= min(len(x.shape), len(y.shape)) <= max(len(x.shape), len(y.shape)) <= 5:
        raise Rejected(f"its operands have {len(x.shape)} and {len(y.shape)} axes, supported are 2 to 5")
    if x.dtype == FLOAT32 and y.dtype == INT8:
        return tflite_hybrid.batch_matmul(scope)
    options.without_effect("AsymmetricQuantizeInputs")  # of float activations times integers
    op = BatchMatMul(options.flag("AdjX"), options.flag("AdjY"))
    matrix = scope.known(1)
    sig = Signature((x, y), (scope.output_type(),))
    if matrix is None or scope.known(0) is not None or op.adj_x or prod(y.shape[:-2]) != 1 or op.unsupported(sig):
        return scope.emit(op, [scope.input(0), scope.input(1)])
    if len(y.shape) > len(x.shape) or x.dtype != INT8:
        return scope.emit(op, [scope.input(0), scope.input(1)])
    op.infer(sig.inputs)
    matrix = matrix.reshape(y.shape[-2:])
    return scope.emit(*_as_fully_connected(scope, op, sig, matrix if op.adj_y else matrix.T))


def _as_fully_connected(scope: Scope, op: BatchMatMul, sig: Signature, weights: Array) -> tuple[Op, list[str]]:
    """The operator and its operands; `weights` (n, k)."""
    centred = weights.astype(np.int16) - np.int16(sig.inputs[1].zero_point)
    narrow = centred.min() >= -128 and centred.max() <= 127
    centred = centred.astype(np.int8) if narrow else centred
    rule = op.requant(sig)
    if not isinstance(rule, TfliteRequant):
        raise TypeError(f"TFLite's rule is {type(rule).__name__}")
    every = np.zeros(op.sizes(sig)[2], np.int64)
    quant = Quantization.per_tensor(sig.inputs[1].scale, 0)
    name = scope.derived("weights", TensorType(weights.shape, DType.of(centred.dtype), quant), centred)
    scope.input(1)
    return FullyConnected(rule=rule.take(every)), [scope.input(0), name]


def by_computed_weights(scope: Scope, op: FullyConnected) -> BatchMatMul:
    """FULLY_CONNECTED where the weights are computed: a product of two matrices that rounds as this operator does.

    Raises Rejected: a bias, weights that aren't a matrix, or an input whose last axis isn't theirs.
    """
    x, weights = scope.input_type(0), scope.input_type(1)
    if scope.has(2):
        raise Rejected("the weight tensor is computed at run time, supported is that without a bias")
    if len(weights.shape) != 2 or len(x.shape) < 2 or x.shape[-1] != weights.shape[1] or 0 in x.shape:
        raise Rejected(f"the weight tensor, {weights}, is computed at run time, and the input is {x}")
    sig = Signature((x, weights), (scope.output_type(),))
    product = BatchMatMul(adj_y=True)
    if x.dtype == FLOAT32:
        return product
    if x.dtype == INT16:  # LiteRT's rule is that of BATCH_MATMUL there
        if op.clamp != INT16.range:
            raise Rejected("the weight tensor is computed at run time, supported is that without a fused activation")
        return product
    reason = product.unsupported(sig) or invalid(lambda: op.requant(sig))
    if reason is not None:
        raise Rejected(reason)
    match op.requant(sig):
        case RoundedProductRequant() as rule:
            return replace(product, rule=replace(rule, scale=rule.scale[:1]))
        case TfliteRequant() as rule:
            return replace(product, rule=rule.take(np.zeros(1, np.int64)))
        case rule:
            raise TypeError(f"FULLY_CONNECTED's rule is {type(rule).__name__}")

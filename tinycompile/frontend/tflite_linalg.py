"""Products of matrices, transposed convolutions, convolutions of volumes, linear interpolation."""

from __future__ import annotations

from tinycompile.frontend.tflite_activations import clamp_range
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Scope
from tinycompile.ops._spatial import same_padding
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.transpose_conv import TransposeConv


@importer("TRANSPOSE_CONV", options=tflite.TransposeConvOptions, versions=5)
def transpose_conv(scope: Scope) -> None:
    """Operands: the output's shape, the weights, the input, optionally the bias."""
    options = scope.options
    options.without_effect("QuantizedBiasType")  # of int16 activations
    shape = scope.integers(0, "the shape of the output")
    weights = scope.constant(1, "the weight tensor").shape
    if len(shape) != 4 or min(shape) < 1 or len(weights) != 4 or 0 in weights:
        raise scope.fail(f"an output of the shape {shape} with weights of the shape {list(weights)}")
    x = scope.input_type(2).shape
    if len(x) != 4 or (shape[0], shape[3], weights[3]) != (x[0], weights[0], x[3]):
        raise scope.fail(f"an output of the shape {shape} from {list(x)} with weights of the shape {list(weights)}")
    stride = options.positive("StrideH", "StrideW")
    cut = _cut(scope, shape[1:3], weights[1:3], stride)
    clamp = clamp_range(options.integer("FusedActivationFunction"), scope.output_type())
    operands = [scope.input(2), scope.input(1)]
    if scope.has(3):
        scope.constant(3, "the bias")
        operands.append(scope.input(3))
    scope.emit(TransposeConv((shape[1], shape[2]), stride, cut=cut, clamp=clamp), operands)


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
    scope.emit(op, [scope.input()])

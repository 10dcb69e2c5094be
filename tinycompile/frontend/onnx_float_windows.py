"""ONNX operators with windows, padding and resizing in float32."""

from __future__ import annotations

import numpy as np

from tinycompile.frontend.onnx_float import constant, emit, float_importer, plain, reshape, set_result, shape_of
from tinycompile.frontend.onnx_linear import padding_of, spatial_attributes
from tinycompile.frontend.onnx_moves import pad_amounts, pool_attributes, taken
from tinycompile.frontend.onnx_registry import IMPORTERS
from tinycompile.frontend.onnx_resize import interpolation
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import (
    Placed,
    identity,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array
from tinycompile.ops.float_conv2d import FloatConv2D
from tinycompile.ops.float_matmul import FloatMatMul
from tinycompile.ops.float_pad import FloatPad
from tinycompile.ops.float_pool2d import FloatPool2D
from tinycompile.ops.float_reduce import FloatReduce
from tinycompile.ops.transpose import Transpose

# Windows. 1-D operands get a second axis of size 1.


def _image(scope: Scope) -> str:
    x = plain(scope, 0)
    shape = shape_of(scope, x)
    if len(shape) not in (3, 4):
        raise Rejected(f"its operand has {len(shape)} dimensions, supported are 3 and 4")
    return reshape(scope, x, (*shape, 1)) if len(shape) == 3 else x


@float_importer("Conv")
def _conv(scope: Scope) -> None:
    weights = scope.constant(1, "the weight tensor").astype(np.float32)
    channels, *size = scope.value().shape[1:]
    if int(scope.attribute("group", 1)) * weights.shape[1] != channels:
        raise Rejected(f"its weights {list(weights.shape)} don't fit {channels} channels and the attribute group")
    x = _image(scope)
    kernel, strides, dilations = spatial_attributes(scope, weights.shape[2:])
    pads = padding_of(scope, size, kernel, strides, dilations)
    if weights.ndim == 3:
        weights, strides, dilations = weights[..., None], [*strides, 1], [*dilations, 1]
        pads = [pads[0], 0, pads[1], 0]
    op = FloatConv2D((strides[0], strides[1]), (dilations[0], dilations[1]), (pads[0], pads[2], pads[1], pads[3]))
    set_result(scope, _convolution(scope, op, x, weights), scope.shape())


def _convolution(scope: Scope, op: FloatConv2D, x: str, weights: Array) -> str:
    operands = [x, constant(scope, weights)]
    if scope.has(2):
        operands.append(constant(scope, scope.constant(2, "the bias")))
    return emit(scope, op, operands)


@float_importer("ConvTranspose")
def _conv_transpose(scope: Scope) -> None:
    """As a convolution of the input with zeros between its elements, with the kernel turned around."""
    from tinycompile.frontend.onnx_linear import transposed_begins

    weights = scope.constant(1, "the weight tensor").astype(np.float32)
    group, size, shape = int(scope.attribute("group", 1)), scope.value().shape[2:], scope.shape()
    x = _image(scope)
    kernel, strides, dilations = spatial_attributes(scope, weights.shape[2:])
    begins = transposed_begins(scope, size, shape[2:], kernel, strides, dilations)
    inputs, outputs = weights.shape[:2]
    grouped = weights.reshape(group, inputs // group, outputs, *weights.shape[2:]).swapaxes(1, 2)
    flipped = np.flip(
        grouped.reshape(group * outputs, inputs // group, *weights.shape[2:]), tuple(range(2, weights.ndim))
    )
    out = shape[2:]
    if weights.ndim == 3:
        flipped, kernel, strides, dilations = flipped[..., None], [*kernel, 1], [*strides, 1], [*dilations, 1]
        size, begins, out = (*size, 1), [*begins, 0], (*out, 1)
    n, c, h, w = shape_of(scope, x)
    if strides != [1, 1]:
        split = reshape(scope, x, (n, c, h, 1, w, 1))
        border = ((0, 0), (0, 0), (0, 0), (0, strides[0] - 1), (0, 0), (0, strides[1] - 1))
        x = reshape(scope, emit(scope, FloatPad(border, 0.0), [split]), (n, c, h * strides[0], w * strides[1]))
    padding = list[int]()
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilations[axis]
        before = extent - begins[axis]
        padding += [before, out[axis] + extent - before - size[axis] * strides[axis]]
    at = Placed(x, shape_of(scope, x), identity(4))
    for axis in range(2):
        first, last = max(0, -padding[2 * axis]), at.shape[2 + axis] - max(0, -padding[2 * axis + 1])
        at = taken(scope, at, 2 + axis, range(first, last))
    op = FloatConv2D(
        (1, 1),
        (dilations[0], dilations[1]),
        tuple(max(0, p) for p in padding),  # pyright: ignore[reportArgumentType]
    )
    set_result(scope, _convolution(scope, op, at.name, np.ascontiguousarray(flipped)), shape)


@float_importer("MaxPool", "AveragePool")
def _pool(scope: Scope) -> None:
    shape, out = scope.value().shape, scope.shape()
    x = _image(scope)
    rank = len(shape) - 2
    kernel, strides, dilations = pool_attributes(scope, rank)
    pads = padding_of(scope, shape[2:], kernel, strides, dilations)
    given = list(pads)
    for axis in range(rank):
        needed = (out[2 + axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        pads[rank + axis] = max(needed - shape[2 + axis] - pads[axis], 0)
    if rank == 1:
        kernel, strides, dilations = [*kernel, 1], [*strides, 1], [*dilations, 1]
        pads, given = [pads[0], 0, pads[1], 0], [given[0], 0, given[1], 0]
    average = scope.kind == "AveragePool"
    count = (given[0], given[2], given[1], given[3]) if scope.attribute("count_include_pad", 0) else (0, 0, 0, 0)
    op = FloatPool2D(
        "average" if average else "max",
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (pads[0], pads[2], pads[1], pads[3]),
        count,
    )
    set_result(scope, emit(scope, op, [x]), out)


@float_importer("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(scope: Scope) -> None:
    x = plain(scope, 0)
    axes = tuple(range(2, len(shape_of(scope, x))))
    set_result(scope, emit(scope, FloatReduce("mean" if scope.kind == "GlobalAveragePool" else "max", axes), [x]))


@float_importer("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
def _reduce(scope: Scope) -> None:
    x, shape = plain(scope, 0), scope.shape()
    rank = len(shape_of(scope, x))
    axes = scope.listed("axes", 1, "the axes")
    if not axes:
        if scope.attribute("noop_with_empty_axes", 0):
            scope.ignore("keepdims")
            set_result(scope, x)
            return
        axes = list(range(rank))
    scope.ignore("keepdims", "noop_with_empty_axes")  # the first is in the inferred shape
    op = FloatReduce(scope.kind.removeprefix("Reduce").lower(), tuple(sorted({axis % rank for axis in axes})))
    set_result(scope, emit(scope, op, [x]), shape)


# Padding and resizing.


@float_importer("Pad")
def _pad(scope: Scope) -> None:
    mode = scope.attribute("mode", "constant")
    if mode != "constant":
        IMPORTERS["Pad"](scope)
        return
    at = Placed(plain(scope, 0), scope.value().shape, identity(len(scope.value().shape)))
    amounts = pad_amounts(scope, len(at.shape))
    fill = float(scope.constant(2, "the fill").ravel()[0]) if scope.has(2) else 0.0
    for axis, (before, after) in enumerate(amounts):
        at = taken(scope, at, axis, range(max(0, -before), at.shape[axis] - max(0, -after)))
    positive = tuple((max(0, before), max(0, after)) for before, after in amounts)
    set_result(scope, emit(scope, FloatPad(positive, fill), [at.name]))


@float_importer("Resize")
def _resize(scope: Scope) -> None:
    """Nearest neighbours copy; linear and cubic interpolation are matrix products along each axis."""
    mode = scope.attribute("mode", "nearest")
    if mode == "nearest":
        IMPORTERS["Resize"](scope)
        return
    x, source, shape = plain(scope, 0), scope.value().shape, scope.shape()
    for axis, matrix in interpolation(scope, source, shape, mode):
        rank = len(source)
        order = (*(a for a in range(rank) if a != axis), axis)
        back = tuple(order.index(a) for a in range(rank))
        turned = emit(scope, Transpose(order), [x]) if order != tuple(range(rank)) else x
        moved = shape_of(scope, turned)
        flat = reshape(scope, turned, (int(np.prod(moved[:-1])), moved[-1]))
        product = emit(scope, FloatMatMul(), [flat, constant(scope, matrix.T.astype(np.float32))])
        wide = reshape(scope, product, (*moved[:-1], matrix.shape[0]))
        x = emit(scope, Transpose(back), [wide]) if back != tuple(range(rank)) else wide
    set_result(scope, x)

"""ONNX operators in float32 that sum: matrix products, convolutions, pooling, reductions."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tinycompile.frontend.onnx_blocks import constant_of_blocks
from tinycompile.frontend.onnx_discrete import constant
from tinycompile.frontend.onnx_float import emit, float_importer, same_place, tensor
from tinycompile.frontend.onnx_float_elementwise import innermost, paired
from tinycompile.frontend.onnx_float_products import integer_product
from tinycompile.frontend.onnx_linear import as_image, convolved, padding_of, transposed_convolved
from tinycompile.frontend.onnx_moves import pool_attributes, pooled
from tinycompile.frontend.onnx_reductions import axes_and_keeping, reduced_axes
from tinycompile.frontend.onnx_registry import IMPORTERS
from tinycompile.frontend.onnx_resize import interpolation
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import (
    Known,
    KnownBlocks,
    Placed,
    Real,
    Value,
    identity,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op
from tinycompile.ops._reduce import Reduction
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.exp import Exp
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.grid_sample import GridSample, Taps
from tinycompile.ops.log import Log
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.transpose_conv import TransposeConv

# Matrix products.


@float_importer("MatMul")
def _matmul(scope: Scope) -> None:
    product = integer_product(scope)
    if product is not None:
        scope.set(Real(product))
        return
    b = scope.value(1)
    if isinstance(b, Known) and b.array.ndim <= 2 and isinstance(scope.value(), Real):
        blocks = KnownBlocks.of(b) if b.array.ndim > 1 else None
        _set_rows(scope, b.array.T.reshape(-1, b.shape[0]), None, blocks and blocks.moved(np.transpose))
    else:
        scope.set(Real(_product(scope, scope.plain(tensor(scope, 0)), scope.plain(tensor(scope, 1)))))


def _set_rows(scope: Scope, weights: Array, bias: Array | None, blocks: KnownBlocks | None) -> None:
    """The result is rows of operand 0 times constant weights (C_out, C_in), which may come from integers."""
    value, shape = scope.value(), scope.shape()
    at = value.at if isinstance(value, Real) else tensor(scope)
    order = at.row_order()
    if order is not None:
        weights, blocks = weights[:, order], None
    elif at.order[-1] != len(at.shape) - 1:
        at = scope.plain(at)
    known = constant(scope, weights) if blocks is None else constant_of_blocks(scope, weights, blocks)
    operands = [at.name, known, *([] if bias is None else [constant(scope, bias)])]
    result = Placed(emit(scope, FullyConnected(), operands), (*at.shape[:-1], weights.shape[0]), at.order)
    if result.shape != shape:  # a vector in place of the matrix leaves no axis behind
        result = scope.reshaped(scope.plain(result), shape, shape, identity(len(shape)))
    scope.set(Real(result))


def _product(scope: Scope, a: Placed, b: Placed) -> Placed:
    """Of matrices in ONNX's order; a vector is a row in front and a column behind."""
    shape = scope.shape()
    if len(a.shape) == 1:
        a = scope.reshaped(a, (1, *a.shape), (1, *a.shape), identity(2))
    if len(b.shape) == 1:
        b = scope.reshaped(b, (*b.shape, 1), (*b.shape, 1), identity(2))
    product = Placed(emit(scope, BatchMatMul(), [a.name, b.name]), shape, identity(len(shape)))
    return scope.reshaped(product, shape, shape, product.order)


@float_importer("Gemm")
def _gemm(scope: Scope) -> None:
    alpha, beta = float(scope.attribute("alpha", 1.0)), float(scope.attribute("beta", 1.0))
    value, matrix = scope.value(), scope.value(1)
    transposed = [bool(scope.attribute(name, 0)) for name in ("transA", "transB")]
    scope.ignore(2)  # where beta is 0
    addend = scope.value(2) if scope.has(2) and beta != 0 else None
    bias = np.zeros(0) if addend is None else _as_bias(addend, scope.shape()[1])
    if isinstance(matrix, Known) and isinstance(value, Real) and not transposed[0] and bias is not None:
        weights = matrix.array if transposed[1] else matrix.array.T
        blocks = KnownBlocks.of(matrix) if alpha == 1 else None
        rows = blocks if blocks is None or transposed[1] else blocks.moved(np.transpose)
        _set_rows(scope, weights * np.float32(alpha), bias * np.float32(beta) if bias.size else None, rows)
        return
    a, b = (_turned(scope, operand) if turned else tensor(scope, operand) for operand, turned in enumerate(transposed))
    result = _product(scope, scope.plain(a), scope.plain(b))
    if alpha != 1:
        result = paired(scope, Mul(), result, Known(np.array(alpha, np.float32)))
    if addend is not None:
        if beta != 1:
            addend = Real(paired(scope, Mul(), tensor(scope, 2), Known(np.array(beta, np.float32))))
        result = paired(scope, Add(), result, addend)
    scope.set(Real(result))


def _as_bias(value: Value, columns: int) -> Array | None:
    """A constant that is the same for every row, shape (columns,); None for others."""
    if not isinstance(value, Known) or (value.array.size > 1 and value.shape[-1] != value.array.size):
        return None
    if value.array.size not in (1, columns):
        raise Rejected(f"the bias has shape {list(value.shape)}, the product has {columns} columns")
    return np.broadcast_to(value.array.ravel(), (columns,))


def _turned(scope: Scope, operand: int) -> Placed:
    """The transpose of a matrix: its axes have each other's names."""
    at = tensor(scope, operand)
    return Placed(at.name, at.shape[::-1], tuple(1 - axis for axis in at.order))


# Windows.


@float_importer("Conv", "ConvTranspose")
def _convolution(scope: Scope) -> None:
    weights = scope.constant(1, "the weight tensor").astype(np.float32)
    at = tensor(scope)
    found = convolved(scope, at, weights) if scope.kind == "Conv" else transposed_convolved(scope, at, weights)
    kinds = {"conv2d": Conv2D, "depthwise_conv2d": DepthwiseConv2D, "transpose_conv": TransposeConv}
    op = kinds[found.kind](**found.window)
    operands = [found.image.name, constant(scope, found.weights)]
    if scope.has(2):
        operands.append(constant(scope, scope.constant(2, "the bias")))
    scope.set(Real(pooled(scope, emit(scope, op, operands))))


@float_importer("MaxPool", "AveragePool")
def _pool(scope: Scope) -> None:
    at, out = tensor(scope), scope.shape()
    image, size = as_image(scope, at), at.shape[2:]
    rank = len(size)
    kernel, strides, dilations = pool_attributes(scope, rank)
    pads = padding_of(scope, size, kernel, strides, dilations)
    given = list(pads)
    for axis in range(rank):
        needed = (out[2 + axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        pads[rank + axis] = max(needed - size[axis] - pads[axis], 0)
    if rank == 1:
        kernel, strides, dilations = [*kernel, 1], [*strides, 1], [*dilations, 1]
        pads, given = [pads[0], 0, pads[1], 0], [given[0], 0, given[1], 0]
    window = (kernel[0], kernel[1]), (strides[0], strides[1]), (pads[0], pads[2], pads[1], pads[3])
    dilation = dilations[0], dilations[1]
    if scope.kind == "MaxPool":
        op = MaxPool2D(*window, dilation=dilation)
    else:
        counts = bool(scope.attribute("count_include_pad", 0))
        counted = (given[0], given[2], given[1], given[3]) if counts else (0, 0, 0, 0)
        op = AveragePool2D(*window, dilation=dilation, counted=counted)
    scope.set(Real(pooled(scope, emit(scope, op, [image.name]))))


# Reductions.

_REDUCTIONS: Mapping[str, type[Reduction]] = {
    "GlobalAveragePool": Mean,
    "GlobalMaxPool": ReduceMax,
    "ReduceMax": ReduceMax,
    "ReduceMean": Mean,
    "ReduceMin": ReduceMin,
    "ReduceProd": ReduceProd,
    "ReduceSum": ReduceSum,
}


@float_importer("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(scope: Scope) -> None:
    at = tensor(scope)
    scope.set(Real(_reduced(scope, at, range(2, len(at.shape)), keep=True)))


@float_importer("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")
def _reduce(scope: Scope) -> None:
    at = tensor(scope)
    axes, keep = axes_and_keeping(scope)
    scope.set(Real(_reduced(scope, at, axes, keep=keep) if axes else at))


@float_importer("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
def _reduce_functions(scope: Scope) -> None:
    """A sum of a function of the elements, and a function of that."""
    before, after = _AROUND_SUMS[scope.kind]
    at = tensor(scope)
    axes, keep = axes_and_keeping(scope)
    if before is not None:
        at = same_place(scope, before, at, *([at.name] if isinstance(before, Mul) else []))
    if axes:
        physical, order = reduced_axes(at, axes, keep)
        at = Placed(emit(scope, ReduceSum(physical, keep), [at.name]), scope.shape(), order)
    scope.set(Real(at if after is None else same_place(scope, after, at)))


_AROUND_SUMS: Mapping[str, tuple[Op | None, Op | None]] = {
    "ReduceL1": (Abs(), None),
    "ReduceL2": (Mul(), Sqrt()),
    "ReduceLogSum": (None, Log()),
    "ReduceLogSumExp": (Exp(), Log()),
    "ReduceSumSquare": (Mul(), None),
}


def _reduced(scope: Scope, at: Placed, axes: Collection[int], *, keep: bool) -> Placed:
    physical, order = reduced_axes(at, axes, keep)
    op = _REDUCTIONS[scope.kind](physical, keep)
    return Placed(emit(scope, op, [at.name]), scope.shape(), order)


@float_importer("GridSample")
def _grid_sample(scope: Scope) -> None:
    names: dict[str, Taps] = {"nearest": 1, "linear": 2, "bilinear": 2, "cubic": 4, "bicubic": 4}
    taps = names[scope.attribute("mode", "linear")]
    op = GridSample(taps, scope.attribute("padding_mode", "zeros"), bool(scope.attribute("align_corners", 0)))
    x, grid = (scope.plain(tensor(scope, operand)) for operand in range(2))
    shape = scope.shape()
    scope.set(Real(Placed(emit(scope, op, [x.name, grid.name]), shape, identity(len(shape)))))


@float_importer("Resize")
def _resize(scope: Scope) -> None:
    """Nearest neighbours copy; linear and cubic interpolation are matrix products along each axis."""
    mode = scope.attribute("mode", "nearest")
    if mode == "nearest":
        IMPORTERS["Resize"](scope)
        return
    at, shape = tensor(scope), scope.shape()
    for axis, matrix in interpolation(scope, at.shape, shape, mode):
        rows = innermost(scope, at, axis)
        result = emit(scope, FullyConnected(), [rows.name, constant(scope, matrix)])
        at = Placed(result, (*at.shape[:axis], matrix.shape[0], *at.shape[axis + 1 :]), rows.order)
    scope.set(Real(at))

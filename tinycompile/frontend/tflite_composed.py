"""Operators that become several of ours: each means the same, and none has code of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, INT32
from tinycompile.frontend.builder import results_of
from tinycompile.frontend.tflite_activations import emit_activated, fused_range
from tinycompile.frontend.tflite_moves import EMPTY, reshaped
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.frontend.tflite_windows import window_padding
from tinycompile.ir import Array, ImpossibleSizeError, Op, TensorType, bounded
from tinycompile.ops._reduce import Axes
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.pad import Pad
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.scatter_nd import ScatterND
from tinycompile.ops.select import Select
from tinycompile.ops.slice import Slice
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.take import Take

MAX_SEGMENTS = 256
"""Of an operator that becomes a few nodes for each."""


def _computed(scope: Scope, op: Op, operands: Sequence[str], suffix: str) -> str:
    """A value that the file doesn't have, with the quantisation of the first operand."""
    types = [scope.values.builder.types[name] for name in operands]
    try:
        (found,) = results_of(op, types)
    except ImpossibleSizeError:
        raise
    except ValueError as error:
        raise scope.fail(str(error)) from error
    result = scope.temporary(suffix, replace(found, quant=types[0].quant))
    scope.emit(op, operands, result)
    return result


def _constant(scope: Scope, suffix: str, t: TensorType, values: Array) -> str:
    """A constant of the type and quantisation of `t`."""
    data = np.ascontiguousarray(values, t.dtype.carrier)
    return scope.derived(suffix, TensorType(data.shape, t.dtype, t.quant), data)


def _diagonal(rows: int, columns: int) -> Array:
    bounded((rows, columns))
    return np.eye(rows, columns, dtype=np.bool_)


def _mask(scope: Scope, values: Array) -> str:
    return scope.derived("mask", TensorType(values.shape, BOOL), np.ascontiguousarray(values, np.bool_))


@importer("L2_POOL_2D", options=tflite.Pool2DOptions, versions=1)
def l2_pool_2d(scope: Scope) -> None:
    """float32: the root of the mean of the squares, of the positions inside the input; any window, stride and padding,
    with fused RELU, RELU6 and RELU_N1_TO_1.
    """
    options, x = scope.options, scope.input_type()
    if x.dtype != FLOAT32:
        raise Rejected(f"the input is {x.dtype}, supported is float32")
    kernel, stride = options.positive("FilterHeight", "FilterWidth"), options.positive("StrideH", "StrideW")
    pool = AveragePool2D(kernel, stride, window_padding(scope, kernel, stride, (1, 1)), fused_range(scope))
    squares = _computed(scope, ElementwiseFunction("square"), [scope.input()], "squares")
    emit_activated(scope, Sqrt(), [_computed(scope, pool, [squares], "mean")])


@importer("MATRIX_DIAG", options=tflite.MatrixDiagOptions, versions=1)
def matrix_diag(scope: Scope) -> None:
    """Any type; bytes are 0 beside the diagonal, whatever the zero point."""
    x = scope.input_type()
    if not x.shape or 0 in x.shape:
        raise Rejected(EMPTY)
    n = x.shape[-1]
    row = reshaped(scope, scope.input(), (*x.shape[:-1], 1, n), "row")
    zero = _constant(scope, "zero", x, np.zeros((1,) * (len(x.shape) + 1)))
    scope.emit(Select(), [_mask(scope, _diagonal(n, n)), row, zero])


@importer("MATRIX_SET_DIAG", options=tflite.MatrixSetDiagOptions, versions=1)
def matrix_set_diag(scope: Scope) -> None:
    """Any type, any matrix."""
    x, diagonal = scope.input_type(0), scope.input_type(1)
    if len(x.shape) < 2 or diagonal.shape != (*x.shape[:-2], min(x.shape[-2:])) or 0 in x.shape:
        raise scope.fail(f"a diagonal {diagonal} for {x}")
    rows, columns = x.shape[-2:]
    size = (1, columns) if columns <= rows else (rows, 1)  # as long as the diagonal
    placed = reshaped(scope, scope.input(1), (*x.shape[:-2], *size), "diagonal")
    scope.emit(Select(), [_mask(scope, _diagonal(rows, columns)), placed, scope.input(0)])


@importer("SPARSE_TO_DENSE", options=tflite.SparseToDenseOptions, versions=3)
def sparse_to_dense(scope: Scope) -> None:
    """Any type; places, shape and default that are known when the model is compiled, no place twice."""
    scope.options.without_effect("ValidateIndices")
    places, shape = scope.constant(0, "the list of indices"), scope.integers(1, "the shape")
    y, values = scope.output_type(), scope.input(2)
    default, given = scope.constant(3, "the default value"), scope.input_type(2)
    scope.input_type(0)
    coordinates = places.reshape(-1, 1) if places.ndim < 2 else places
    outside = coordinates.shape[1] != len(shape) or (coordinates < 0).any() or (coordinates >= shape).any()
    if places.ndim > 2 or places.dtype.kind != "i" or outside:
        raise scope.fail(f"indices of the shape {list(places.shape)} for the shape {shape}")
    if len(np.unique(coordinates, axis=0)) < len(coordinates):
        raise Rejected("two of its indices are the same place")
    if default.size != 1 or scope.input_type(3).dtype != y.dtype or given.dtype != y.dtype:
        raise scope.fail(f"values {given} and a default of {default.size} elements for {y}")
    count = len(coordinates)
    if given.shape != (count,):
        values = _computed(scope, BroadcastTo((count,)), [values], "values")
    mask = np.zeros(bounded(shape), np.bool_)
    mask[tuple(coordinates.T)] = True
    at = scope.derived("places", TensorType(coordinates.shape, scope.input_type(0).dtype), coordinates)
    scattered = scope.temporary("scattered", TensorType(tuple(shape), y.dtype, y.quant))
    scope.emit(ScatterND(tuple(shape)), [at, values], scattered)
    rest = _constant(scope, "default", y, default.reshape((1,) * len(shape)))
    scope.emit(Select(), [_mask(scope, mask), scattered, rest])


@importer("SEGMENT_SUM", options=tflite.SegmentSumOptions, versions=1)
def segment_sum(scope: Scope) -> None:
    """float32 or int32; segments that are known when the model is compiled, from 0 on without gaps."""
    ids = scope.integers(1, "the list of segments")
    if not ids or ids[0] != 0 or any(b - a not in (0, 1) for a, b in pairwise(ids)):
        raise scope.fail(f"the segments begin with {ids[:8]}")
    _sum_segments(scope, np.array(ids), ids[-1] + 1)


@importer("UNSORTED_SEGMENT_SUM", options=tflite.UnsortedSegmentSumOptions, versions=1)
def unsorted_segment_sum(scope: Scope) -> None:
    """float32 or int32; segments that are known when the model is compiled. A number below 0 names none."""
    _sum_segments(scope, *_segments(scope))


@importer("UNSORTED_SEGMENT_MAX", options=tflite.UnsortedSegmentMaxOptions, versions=1)
def unsorted_segment_max(scope: Scope) -> None:
    """As UNSORTED_SEGMENT_SUM, at most 256 segments; the lowest number where one has no elements."""
    _reduce_segments(scope, ReduceMax((0,), True), _lowest(_elements(scope)))


@importer("UNSORTED_SEGMENT_MIN", options=tflite.UnsortedSegmentMinOptions, versions=1)
def unsorted_segment_min(scope: Scope) -> None:
    """As UNSORTED_SEGMENT_SUM, at most 256 segments; the highest number where one has no elements."""
    t = _elements(scope)
    _reduce_segments(scope, ReduceMin((0,), True), -_lowest(t) if t.dtype == FLOAT32 else t.dtype.range[1])


@importer("UNSORTED_SEGMENT_PROD", options=tflite.UnsortedSegmentProdOptions, versions=1)
def unsorted_segment_prod(scope: Scope) -> None:
    """As UNSORTED_SEGMENT_SUM, at most 256 segments; 1 where one has no elements."""
    _reduce_segments(scope, ReduceProd((0,), True), 1)


def _lowest(t: TensorType) -> float:
    return -float(np.finfo(np.float32).max) if t.dtype == FLOAT32 else t.dtype.range[0]


def _segments(scope: Scope) -> tuple[Array, int]:
    """(the segment of each element along the first axes, how many there are); what is below 0 belongs to none."""
    ids, count = scope.constant(1, "the list of segments"), scope.integers(2, "the number of segments")
    scope.input_type(1)
    if ids.dtype.kind != "i" or len(count) != 1 or count[0] < 1:
        raise scope.fail(f"{count} segments, numbered by {ids.dtype.name}")
    if ids.size and ids.max() >= count[0]:
        raise scope.fail(f"segment {ids.max()} of {count[0]}")
    return ids, count[0]


def _elements(scope: Scope) -> TensorType:
    """Of the segments: a type that LiteRT's kernel takes, too."""
    x = scope.input_type()
    if x.quant is not None or x.dtype not in (FLOAT32, INT32):
        scaled = " with a scale" if x.quant is not None else ""
        raise Rejected(f"the operand is {x.dtype}{scaled}, supported are float32 and int32")
    return x


def _rows(scope: Scope, ids: Array) -> str:
    """The data, with the axes of the segments as one."""
    x = _elements(scope)
    if not ids.ndim or x.shape[: ids.ndim] != ids.shape or 0 in x.shape:
        raise scope.fail(f"segments of the shape {list(ids.shape)} for {x}")
    return reshaped(scope, scope.input(), (ids.size, *x.shape[ids.ndim :]), "rows")


def _taken(scope: Scope, rows: str, which: Array, suffix: str) -> str:
    return _computed(scope, Take(0, tuple(int(i) for i in which)), [rows], suffix)


def _sum_segments(scope: Scope, ids: Array, count: int) -> None:
    rows, used = _rows(scope, ids), np.flatnonzero(ids.ravel() >= 0)
    if not used.size:
        raise Rejected("none of its elements belongs to a segment")
    if used.size < ids.size:
        rows = _taken(scope, rows, used, "used")
    at = ids.ravel()[used].astype(np.int32)[:, None]
    places = scope.derived("segments", TensorType(at.shape, scope.input_type(1).dtype), at.astype(np.int32))
    scope.emit(ScatterND((count, *scope.values.builder.types[rows].shape[1:])), [places, rows])


def _reduce_segments(scope: Scope, op: Axes, nothing: float) -> None:
    """`nothing`: of a segment without elements."""
    ids, count = _segments(scope)
    rows, x = _rows(scope, ids), scope.input_type()
    if count > MAX_SEGMENTS:
        raise Rejected(f"it has {count} segments, supported are {MAX_SEGMENTS}")
    found = list[str]()
    for segment in range(count):
        which = np.flatnonzero(ids.ravel() == segment)
        if which.size:
            members = _taken(scope, rows, which, f"members_{segment}")
            found.append(_computed(scope, op, [members], f"segment_{segment}"))
        else:
            shape = (1, *scope.values.builder.types[rows].shape[1:])
            found.append(_constant(scope, f"segment_{segment}", x, np.full(bounded(shape, 64), nothing)))
    scope.emit(Concatenation(0), found)


@importer("DILATE", versions=1)
def dilate(scope: Scope) -> None:
    """Any type; distances and the value between that are known when the model is compiled."""
    x, steps = scope.input_type(), scope.integers(1, "the distances")
    fill = scope.constant(2, "the fill value")
    scope.input_type(2)
    if len(steps) != len(x.shape) or min(steps, default=1) < 1 or fill.size != 1 or 0 in x.shape:
        raise scope.fail(f"distances {steps} and a fill of {fill.size} elements for {x}")
    # Axis by axis: a border behind every element, cut off behind the last one.
    name, shape, value = scope.input(), list(x.shape), fill.ravel()[0].item()
    for axis, step in enumerate(steps):
        if step == 1 or shape[axis] == 1:
            continue
        apart = reshaped(scope, name, (*shape[: axis + 1], 1, *shape[axis + 1 :]), f"apart_{axis}")
        border = [(0, 0)] * (len(shape) + 1)
        border[axis + 1] = (0, step - 1)
        wide = _computed(scope, Pad(tuple(border), value), [apart], f"bordered_{axis}")
        shape[axis] *= step
        whole = reshaped(scope, wide, tuple(shape), f"side_by_side_{axis}")
        op = Slice.of_axis(shape, axis, 0, shape[axis] - step + 1)
        name, shape = _computed(scope, op, [whole], f"dilated_{axis}"), list(op.size)
    scope.emit(Reshape(tuple(shape)), [name])

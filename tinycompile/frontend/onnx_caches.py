"""Tensors of which a piece is replaced at computed places: caches of keys and values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.dtypes import INT64, DType
from tinycompile.frontend.onnx_discrete import combined, discrete, wrapped
from tinycompile.frontend.onnx_moves import reshaped_to, taken
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Known, Placed, Value, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.take import Take

_MOST_PIECES = 256
"""That are written one by one."""


@importer("TensorScatter")
def tensor_scatter(scope: Scope) -> None:
    """A piece for each element of the batch; where positions go around, for each position."""
    cache, update = scope.value(0), scope.value(1)
    axis = int(scope.attribute("axis", -2)) % len(cache.shape)
    mode = scope.attribute("mode", "linear")
    if mode not in ("linear", "circular") or axis == 0:
        raise Rejected(f"mode {mode!r} along axis {axis}")
    batch, size, count = cache.shape[0], cache.shape[axis], update.shape[axis]
    rows = 1 if mode == "circular" else count
    if batch * count // rows > _MOST_PIECES:
        raise Rejected(f"{batch * count // rows} pieces are written, supported are {_MOST_PIECES}")
    first = discrete(scope, scope.value(2) if scope.has(2) else Known(np.zeros(batch, np.int64)))

    def written(places: Sequence[Placed], quant: Quantization | None) -> Placed:
        result, new = (scope.plain(at) for at in places)
        for element in range(batch):
            of_element = taken(scope, new, 0, [element])
            begin = taken(scope, first.at, 0, [element])
            for row in range(0, count, rows):
                place = _moved(scope, begin, row, size, first.dtype) if mode == "circular" else begin
                piece = taken(scope, of_element, axis, range(row, row + rows))
                corner = _corner(scope, place, element, axis, len(cache.shape), first.dtype)
                name = scope.state.emit(DynamicUpdateSlice(), [result.name, piece.name, corner], scope.name, quant)
                result = Placed(name, cache.shape, identity(len(cache.shape)))
        return result

    combined(scope, [cache, update], written)


def scatter_one(scope: Scope, coordinates: Value) -> None:
    """ScatterND by a single coordinate: operand 0 with operand 2 in its place, which is a slice of it.

    Args:
        coordinates: (1, ..., 1, depth), along the first `depth` axes.
    """
    shape = scope.value().shape
    depth = coordinates.shape[-1]
    piece = (*(1,) * depth, *shape[depth:])

    def put(places: Sequence[Placed], quant: Quantization | None) -> Placed:
        base, update = places
        base = scope.unfolded(base)
        update = scope.ordered(reshaped_to(scope, update, piece), base.order)
        begin = _begin(scope, coordinates, shape[:depth], base.order)
        name = scope.state.emit(DynamicUpdateSlice(), [base.name, update.name, begin], scope.name, quant)
        return Placed(name, shape, base.order)

    combined(scope, [scope.value(0), scope.value(2)], put)


def _begin(scope: Scope, coordinates: Value, sizes: Sequence[int], order: tuple[int, ...]) -> str:
    """Where a piece begins along each axis of a tensor in memory: an int64 vector, one for all equal places.

    Args:
        coordinates: one element for each of the first axes. sizes: of these. order: of the tensor's axes in memory.
    """
    made_of = discrete(scope, coordinates).at.name
    key = made_of, *sizes, *order
    if key not in scope.state.begins:
        indices = wrapped(scope, coordinates, sizes)
        row = reshaped_to(scope, scope.plain(indices.at), (len(sizes),)).name
        if indices.dtype != INT64:
            row = scope.state.emit(Cast(INT64), [row], f"{scope.name}_wide", None)
        if len(order) > len(sizes):
            zeros = np.zeros(len(order) - len(sizes), np.int64)
            rest = scope.state.value(f"{scope.name}_zeros", TensorType(zeros.shape, INT64), zeros)
            row = scope.state.emit(Concatenation(0), [row, rest], f"{scope.name}_place", None)
        if order != identity(len(order)):
            row = scope.state.emit(Take(0, order), [row], f"{scope.name}_begin", None)
        scope.state.begins[key] = row
    return scope.state.begins[key]


def _moved(scope: Scope, begin: Placed, row: int, size: int, dtype: DType) -> Placed:
    """(begin + row) modulo the size of the cache."""
    if row:
        by = _integers(scope, np.array([row]), dtype)
        begin = Placed(scope.state.emit(Add(), [begin.name, by], f"{scope.name}_row", None), (1,), (0,))
    modulus = _integers(scope, np.array([size]), dtype)
    return Placed(scope.state.emit(FloorMod(), [begin.name, modulus], f"{scope.name}_around", None), (1,), (0,))


def _corner(scope: Scope, place: Placed, element: int, axis: int, rank: int, dtype: DType) -> str:
    """Where a piece begins along all axes, (rank,)."""
    before = np.zeros(axis, np.int64)
    before[0] = element
    parts = [_integers(scope, before, dtype), place.name]
    if axis + 1 < rank:
        parts.append(_integers(scope, np.zeros(rank - axis - 1, np.int64), dtype))
    return scope.state.emit(Concatenation(0), parts, f"{scope.name}_place", None)


def _integers(scope: Scope, values: Array, dtype: DType) -> str:
    array = np.asarray(values, dtype.carrier)
    return scope.state.value(f"{scope.name}_constant", TensorType(array.shape, dtype), array)

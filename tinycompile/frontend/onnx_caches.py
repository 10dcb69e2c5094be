"""Tensors of which a piece is replaced at computed places: caches of keys and values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.frontend.onnx_discrete import combined, discrete
from tinycompile.frontend.onnx_moves import taken
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Known, Placed, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.floor_mod import FloorMod

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

"""A piece of a tensor replaced at a place that is computed, as in a cache of keys and values (onnx.ai, ScatterND)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.dtypes import INT64
from tinycompile.frontend.onnx_discrete import combined, discrete, wrapped
from tinycompile.frontend.onnx_moves import reshaped_to
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Placed, Value, identity
from tinycompile.ir import Quantization, TensorType
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.take import Take


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

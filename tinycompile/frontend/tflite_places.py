"""Pieces of tensors from places that are computed while the model runs."""

from __future__ import annotations

import numpy as np

from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import TensorType
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.dynamic_slice import DynamicSlice
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.mul import Mul
from tinycompile.ops.reshape import Reshape


def slice_at(scope: Scope, size: list[int]) -> None:
    """SLICE with a constant size."""
    if -1 in size:
        raise Rejected("its size is -1 along an axis whose begin is computed at run time")
    scope.emit(DynamicSlice(tuple(size)), [scope.input(0), scope.input(1)])


def strided_slice_at(scope: Scope) -> None:
    """STRIDED_SLICE that takes one position along some axes, the index of an array, and all along the others."""
    x, begin, options = scope.input_type(0), scope.input_type(1), scope.options
    masks = {name: options.integer(f"{name}Mask") for name in ("Begin", "End", "ShrinkAxis")}
    count = begin.shape[0] if len(begin.shape) == 1 else 0
    if not 0 < count <= len(x.shape):
        raise scope.fail(f"a begin {begin} for {x}")
    scope.input_type(2)
    one = [bool(masks["ShrinkAxis"] >> i & 1) for i in range(count)]
    whole = [bool((masks["Begin"] & masks["End"]) >> i & 1) for i in range(count)]
    if scope.integers(3, "the strides") != [1] * count or not all(a or b for a, b in zip(one, whole, strict=True)):
        raise Rejected("its begin is computed at run time, supported is that where shrink_axis_mask takes one position")
    # An index may count from the end; along axes that are taken whole it doesn't count.
    sizes = scope.derived("sizes", TensorType((count,), begin.dtype), np.array(x.shape[:count], begin.dtype.carrier))
    taken = [int(a and not masks["Begin"] >> i & 1) for i, a in enumerate(one)]
    mask = scope.derived("taken", TensorType((count,), begin.dtype), np.array(taken, begin.dtype.carrier))
    inside, place = (scope.temporary(name, TensorType((count,), begin.dtype)) for name in ("inside", "place"))
    scope.emit(FloorMod(), [scope.input(1), sizes], inside)
    scope.emit(Mul(), [inside, mask], place)
    rest = len(x.shape) - count
    if rest:
        zeros = scope.derived("zeros", TensorType((rest,), begin.dtype), np.zeros(rest, begin.dtype.carrier))
        everywhere = scope.temporary("everywhere", TensorType((len(x.shape),), begin.dtype))
        scope.emit(Concatenation(0), [place, zeros], everywhere)
        place = everywhere
    size = tuple(1 if i < count and one[i] else n for i, n in enumerate(x.shape))
    piece = scope.temporary("piece", TensorType(size, x.dtype, x.quant))
    scope.emit(DynamicSlice(size), [scope.input(0), place], piece)
    shape = [n for i, n in enumerate(x.shape) if i >= count or not one[i]]
    scope.emit(Reshape(tuple(shape)), [piece])

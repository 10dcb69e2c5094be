"""Arithmetic of shapes, computed at import: what Keras writes for a batch that isn't known when a model is converted.

SHAPE of a tensor is known here, and so is whatever integers are computed from it and from constants. Each function has
the meaning of LiteRT's kernel; a value that isn't known, or isn't an integer, goes the ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, INT32, INT64, DType
from tinycompile.frontend.tflite_file import SourceOperator
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope, Values, resolved_shape
from tinycompile.ir import Array

MAX_VALUES = 4096
"""Of a folded tensor: shapes are short, and what isn't bounded here can be multiplied by a hostile file."""

INTEGERS = (INT32, INT64)

Fold = Callable[[Scope, Sequence[Array]], Array]


@dataclass(frozen=True)
class Folder:
    """How an operator is computed; `options` and `versions` as for `tflite_registry.Importer`.

    Attributes:
        types: of operands and results.
    """

    run: Fold
    options: type[Any] | None
    versions: int
    types: tuple[DType, ...]


FOLDERS: dict[str, Folder] = {}


def folds(
    *names: str, options: type[Any] | None = None, versions: int, types: tuple[DType, ...] = INTEGERS
) -> Callable[[Fold], Fold]:
    """Decorator: the function computes these operators."""

    def register(function: Fold) -> Fold:
        FOLDERS.update(dict.fromkeys(names, Folder(function, options, versions, types)))
        return function

    return register


def operands_of(scope: Scope, folder: Folder) -> list[Array] | None:
    """The operands, if the operator's result follows from values that are known."""
    if scope.operator.name in ("RANK", "SHAPE") and len(scope.operator.inputs) == 1:
        return [np.array(scope.input_type().shape, np.int64)]
    values = [scope.values.known(index) if index >= 0 else None for index in scope.operator.inputs]
    found = [value for value in values if value is not None]
    if not found or len(found) < len(values) or len(scope.operator.outputs) != 1:
        return None
    whole = all(DType.find(value.dtype) in folder.types and value.size <= MAX_VALUES for value in found)
    return found if whole and scope.output_dtype() in folder.types else None


def folded(scope: Scope, folder: Folder, operands: Sequence[Array]) -> Array:
    """The result. Raises Rejected where LiteRT's kernel would refuse, too."""
    try:
        with np.errstate(over="ignore"):
            result = np.array(folder.run(scope, operands), order="C")  # a scalar stays one
    except (ValueError, IndexError, TypeError) as error:
        raise Rejected(f"it can't be computed: {error}") from error
    if result.size > MAX_VALUES or DType.find(result.dtype) not in folder.types:
        raise Rejected(f"the result is {result.dtype.name}{list(result.shape)}, which is no shape")
    return result


def remember(values: Values, operator: SourceOperator, first: int) -> None:
    """Learn the results of an operator on integers that are known, for importers that ask for constants.

    Args:
        first: of the nodes that were added for it.
    """
    known = [values.known(index) for index in operator.inputs if index >= 0]
    if any(value is None or value.size > MAX_VALUES for value in known):
        return
    handles = values.model.resources.handles
    results = [index for index in operator.outputs if index not in values.folded and index not in handles]
    if any((t := values.type(index)).dtype not in INTEGERS or t.elements > MAX_VALUES for index in results):
        return
    found = values.builder.constants_of(first)
    values.folded.update((index, found[name]) for index in results if (name := values.of(index)) in found)


@folds("SHAPE", options=tflite.ShapeOptions, versions=1)
def _shape(scope: Scope, operands: Sequence[Array]) -> Array:
    types: dict[int, type[np.signedinteger[Any]]] = {
        tflite.TensorType.INT32: np.int32,
        tflite.TensorType.INT64: np.int64,
    }
    wanted = scope.options.integer("OutType")
    if wanted not in types:
        raise Rejected(f"its option out_type is {wanted}, supported are INT32 and INT64")
    return operands[0].astype(types[wanted])


@folds("RANK", options=tflite.RankOptions, versions=1)
def _rank(scope: Scope, operands: Sequence[Array]) -> Array:
    return np.array(operands[0].size, np.int32)


@folds("STRIDED_SLICE", options=tflite.StridedSliceOptions, versions=8)
def _strided_slice(scope: Scope, operands: Sequence[Array]) -> Array:
    x, begin, end, strides = operands
    return x[strided_places(scope, x.shape, begin.tolist(), end.tolist(), strides.tolist())]


def strided_places(
    scope: Scope, shape: Sequence[int], begin: Sequence[int], end: Sequence[int], strides: Sequence[int]
) -> tuple[Any, ...]:
    """What STRIDED_SLICE's operands and masks mean as an index in NumPy; with one Ellipsis at most."""
    masks = {
        name: scope.options.integer(f"{name}Mask") for name in ("Begin", "End", "Ellipsis", "NewAxis", "ShrinkAxis")
    }
    offset = scope.options.flag("Offset")
    if masks["Ellipsis"].bit_count() > 1:
        raise Rejected("its option ellipsis_mask has several bits")
    places, axis = list[Any](), 0
    added = masks["NewAxis"] & ~masks["Ellipsis"]
    for i, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        if masks["Ellipsis"] >> i & 1:
            places.append(Ellipsis)
            behind = len(shape) - sum(1 for j in range(i + 1, len(begin)) if not added >> j & 1)
            if behind <= axis:
                raise Rejected("its option ellipsis_mask stands for no axis")
            axis = behind
        elif added >> i & 1:
            places.append(np.newaxis)
        else:
            flags = {name: bool(mask >> i & 1) for name, mask in masks.items()}
            if axis >= len(shape):
                raise scope.fail(f"{len(begin)} bounds for the shape {list(shape)}")
            places.append(_place(flags, first, last, step, shape[axis] if offset else None))
            axis += 1
    return tuple(places)


def _place(flags: dict[str, bool], first: int, last: int, step: int, length: int | None) -> int | slice:
    """One axis of a strided slice.

    Args:
        length: of the axis, where `last` counts from the first index, whatever end_mask says; else None.
    """
    if step == 0:
        raise Rejected("a stride is 0")
    if flags["ShrinkAxis"]:
        if step < 0:
            raise Rejected("shrink_axis_mask with a negative stride")
        return 0 if flags["Begin"] else first
    if length is None:
        return slice(None if flags["Begin"] else first, None if flags["End"] else last, step)
    first = first + length if first < 0 else first
    first = (0 if step > 0 else length - 1) if flags["Begin"] else min(max(first, 0), length)
    if not -1 <= first + last <= length:
        raise Rejected(f"its option offset puts an end at {first + last} of {length}, where LiteRT reads other memory")
    return slice(first, None if first + last < 0 else first + last, step)


@folds("SLICE", options=tflite.SliceOptions, versions=8)
def _slice(scope: Scope, operands: Sequence[Array]) -> Array:
    x, begin, size = operands
    places = list[slice]()
    for length, first, count in zip(x.shape, begin.tolist(), size.tolist(), strict=True):
        last = length if count == -1 else first + count
        if first < 0 or last > length or last < first:
            raise Rejected(f"it reads from {first} to {last} of {length}")
        places.append(slice(first, last))
    return x[tuple(places)]


@folds("PACK", options=tflite.PackOptions, versions=5)
def _pack(scope: Scope, operands: Sequence[Array]) -> Array:
    count = scope.options.integer("ValuesCount")
    if count != len(operands):
        raise scope.fail(f"its option values_count is {count} for {len(operands)} operands")
    return np.stack(operands, scope.options.integer("Axis"))


@folds("GATHER", options=tflite.GatherOptions, versions=8)
def _gather(scope: Scope, operands: Sequence[Array]) -> Array:
    x, indices = operands
    axis, batch = scope.options.integer("Axis"), scope.options.integer("BatchDims")
    axis, batch = axis + x.ndim if axis < 0 else axis, batch + indices.ndim if batch < 0 else batch
    if not 0 <= batch <= axis < x.ndim or batch > indices.ndim or x.shape[:batch] != indices.shape[:batch]:
        raise Rejected(f"its options axis and batch_dims are {axis} and {batch}")
    if indices.size and not 0 <= indices.min() <= indices.max() < x.shape[axis]:
        raise Rejected(f"it reads index {indices.max()} of {x.shape[axis]}")
    outer, count = x.shape[:batch], prod(x.shape[:batch])
    rows, wanted = x.reshape(count, *x.shape[batch:]), indices.reshape(count, *indices.shape[batch:])
    taken = [np.take(row, index, axis - batch) for row, index in zip(rows, wanted, strict=True)]
    return np.stack(taken).reshape(*outer, *taken[0].shape)


@folds("CONCATENATION", options=tflite.ConcatenationOptions, versions=7)
def _concatenation(scope: Scope, operands: Sequence[Array]) -> Array:
    return np.concatenate(operands, scope.options.integer("Axis"))


@folds("CAST", options=tflite.CastOptions, versions=9)
def _cast(scope: Scope, operands: Sequence[Array]) -> Array:
    (x,) = operands
    scope.options.without_effect("InDataType", "OutDataType")
    return x.astype(scope.values.type(scope.operator.outputs[0]).dtype.carrier)


@folds("ADD", options=tflite.AddOptions, versions=6)
def _add(scope: Scope, operands: Sequence[Array]) -> Array:
    a, b = operands
    scope.options.without_effect("PotScaleInt16")
    return a + b


@folds("SUB", options=tflite.SubOptions, versions=5)
def _sub(scope: Scope, operands: Sequence[Array]) -> Array:
    a, b = operands
    scope.options.without_effect("PotScaleInt16")
    return a - b


@folds("MUL", options=tflite.MulOptions, versions=8)
def _mul(scope: Scope, operands: Sequence[Array]) -> Array:
    a, b = operands
    return a * b


@folds("REDUCE_PROD", options=tflite.ReducerOptions, versions=2)
def _reduce_prod(scope: Scope, operands: Sequence[Array]) -> Array:
    x, axes = operands
    wanted = tuple({axis + x.ndim if axis < 0 else axis for axis in axes.ravel().tolist()})
    return np.asarray(x.prod(axis=wanted, dtype=x.dtype, keepdims=scope.options.flag("KeepDims")))


@folds("RANGE", options=tflite.RangeOptions, versions=2, types=(*INTEGERS, FLOAT32))
def _range(scope: Scope, operands: Sequence[Array]) -> Array:
    if any(value.size != 1 for value in operands):
        raise scope.fail("start, limit and delta aren't scalars")
    start, limit, delta = (value.ravel()[0] for value in operands)
    turns = (limit - start) / delta if delta else np.inf
    if turns > MAX_VALUES:
        raise Rejected(f"it counts from {start} to {limit} by {delta}, supported are {MAX_VALUES} values")
    if turns <= 0:
        raise Rejected("its result has no elements")
    return (start + np.arange(int(np.ceil(turns))).astype(start.dtype) * delta).astype(start.dtype)


@folds("BROADCAST_ARGS", versions=1)
def _broadcast_args(scope: Scope, operands: Sequence[Array]) -> Array:
    a, b = operands
    return np.array(np.broadcast_shapes(tuple(a.tolist()), tuple(b.tolist())), a.dtype)


@folds("WHERE", options=tflite.WhereOptions, versions=2, types=(BOOL, INT64))
def _where(scope: Scope, operands: Sequence[Array]) -> Array:
    """Of a constant only: how many elements are true is the shape of the result."""
    (condition,) = operands
    return np.argwhere(condition).astype(np.int64)


@folds("EXPAND_DIMS", options=tflite.ExpandDimsOptions, versions=1)
def _expand_dims(scope: Scope, operands: Sequence[Array]) -> Array:
    x, axis = operands
    return x.reshape(expanded(scope, x.shape, axis.ravel().tolist()))


@folds("SQUEEZE", options=tflite.SqueezeOptions, versions=2)
def _squeeze(scope: Scope, operands: Sequence[Array]) -> Array:
    (x,) = operands
    return x.reshape(squeezed(scope, x.shape))


@folds("RESHAPE", options=tflite.ReshapeOptions, versions=1)
def _reshape(scope: Scope, operands: Sequence[Array]) -> Array:
    if len(operands) > 2:
        raise Rejected(f"it has {len(operands)} operands")
    x = operands[0]
    return x.reshape(wanted_shape(scope, x.shape))


def wanted_shape(scope: Scope, shape: Sequence[int]) -> tuple[int, ...]:
    """Of a RESHAPE: its second operand; else its option, where [0] means no dimension; else what the file says."""
    option = scope.options.integers("NewShape")
    if scope.has(1) and scope.input_type(1).dtype == INT32:
        wanted: Sequence[int] = scope.integers(1, "the shape")
    elif option:
        wanted = () if option == (0,) else option
    else:
        wanted = scope.output_type().shape
    return resolved_shape(scope, wanted, prod(shape))


def squeezed(scope: Scope, shape: Sequence[int]) -> tuple[int, ...]:
    """Without the axes that SQUEEZE's option names; without any of length 1 where it names none."""
    named = scope.options.integers("SqueezeDims")
    axes = {axis + len(shape) if axis < 0 else axis for axis in named}
    if not axes:
        return tuple(n for n in shape if n != 1)
    if any(not 0 <= axis < len(shape) or shape[axis] != 1 for axis in axes):
        raise scope.fail(f"its option squeeze_dims is {list(named)} for the shape {list(shape)}")
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


def expanded(scope: Scope, shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """With an axis of length 1 where EXPAND_DIMS wants it."""
    if len(axes) != 1 or not -len(shape) - 1 <= axes[0] <= len(shape):
        raise scope.fail(f"the axis is {list(axes)} for the shape {list(shape)}")
    axis = axes[0] + len(shape) + 1 if axes[0] < 0 else axes[0]
    return (*shape[:axis], 1, *shape[axis:])

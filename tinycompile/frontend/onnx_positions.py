"""Operators that say where elements are, or take and put elements by positions (onnx.ai, ArgMax to TopK)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT64
from tinycompile.frontend.onnx_caches import scatter_one
from tinycompile.frontend.onnx_discrete import combined, discrete, is_discrete, wrapped
from tinycompile.frontend.onnx_moves import MAX_TAKEN, reshaped_to, taken
from tinycompile.frontend.onnx_quantize import quantized_constant, settled
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope
from tinycompile.frontend.onnx_values import Arranged, Dequantized, Discrete, Known, Placed, Real, Value, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops.add import Add
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.arg_min import ArgMin
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.cumulative_product import CumulativeProduct
from tinycompile.ops.cumulative_sum import CumulativeSum
from tinycompile.ops.gather import Gather
from tinycompile.ops.gather_nd import GatherND
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.neg import Neg
from tinycompile.ops.one_hot import OneHot
from tinycompile.ops.repeat import Repeat
from tinycompile.ops.reverse_sequence import ReverseSequence
from tinycompile.ops.scatter_nd import ScatterND
from tinycompile.ops.sub import Sub
from tinycompile.ops.top_k import TopK

# Where elements are.


def _ordered_numbers(scope: Scope) -> Placed:
    """Operand 0 as a tensor whose numbers are in the order of the values: the bytes of a dequantised one."""
    value = scope.value()
    if isinstance(value, Dequantized):
        return scope.unfolded(settled(scope, value).at)
    if isinstance(value, Real | Discrete):
        return scope.unfolded(value.at)
    raise Rejected(NOT_ROUNDED)


@importer("ArgMax", "ArgMin")
def arg_extreme(scope: Scope) -> None:
    at = _ordered_numbers(scope)
    axis = int(scope.attribute("axis", 0)) % len(at.shape)
    last, size = bool(scope.attribute("select_last_index", 0)), at.shape[axis]
    if last:
        at = taken(scope, at, axis, range(size - 1, -1, -1))
    op = (ArgMax if scope.kind == "ArgMax" else ArgMin)(at.order.index(axis), INT64)
    name = scope.state.emit(op, [at.name], scope.name, None)
    if last:
        end = scope.state.value(f"{scope.name}_last", TensorType((1,), INT64), np.array([size - 1], np.int64))
        name = scope.state.emit(Sub(), [end, name], scope.name, None)
    kept = [i for i in range(len(at.shape)) if i != axis]
    order = tuple(kept.index(i) for i in at.order if i != axis)
    found, shape = Placed(name, tuple(at.shape[i] for i in kept), order), scope.shape()
    if scope.attribute("keepdims", 1):
        found = reshaped_to(scope, found, shape)
    scope.set(Discrete(found, INT64, positive=True))


@importer("TopK")
def top_k(scope: Scope) -> None:
    value, at = scope.value(), _ordered_numbers(scope)
    largest = bool(scope.attribute("largest", 1))
    scope.ignore("sorted")  # they are in any case
    count = scope.integers(1, "the number of elements")[0]
    axis = int(scope.attribute("axis", -1)) % len(at.shape)
    at = scope.ordered(at, (*(a for a in at.order if a != axis), axis))
    quant, shape = scope.state.type_of(at).quant, scope.shape()
    if not largest:
        at = replace(at, name=_turned(scope, at.name))
    elements, positions = scope.state.emit_several(TopK(count), [at.name], scope.node.output[:2], (quant, None))
    placed = Placed(elements if largest else _turned(scope, elements), shape, at.order)
    if isinstance(value, Dequantized) and quant is not None:
        scope.set(Dequantized(placed, quant))
    else:
        scope.set(Real(placed) if isinstance(value, Real) else Discrete(placed, scope.state.type_of(at).dtype))
    if len(scope.node.output) > 1:
        wide = scope.state.emit(Cast(INT64), [positions], f"{scope.name}_positions", None)
        scope.set(Discrete(Placed(wide, shape, at.order), INT64, positive=True), 1)


def _turned(scope: Scope, name: str) -> str:
    """Numbers in the opposite order, from which the same gives back what they were."""
    t = scope.state.builder.types[name]
    if t.dtype not in (INT8, FLOAT32):
        raise Rejected(f"largest = 0: the smallest elements of {t.dtype}")
    op = Neg() if t.dtype == FLOAT32 else Lookup((~INT8_VALUES).tobytes(), "BitwiseNot")
    return scope.state.emit(op, [name], f"{scope.name}_turned", t.quant)


# Taken by positions.


@importer("Gather")
def gather(scope: Scope) -> None:
    value, indices = scope.value(), scope.value(1)
    rank = len(value.shape)
    axis = int(scope.attribute("axis", 0)) % rank
    shape = scope.shape()
    if not isinstance(indices, Known):
        _by_computed(scope, value, wrapped(scope, indices, [value.shape[axis]]), axis)
        return
    positions = _positive(indices.array, value.shape[axis])

    def gathered(at: Placed) -> Placed:
        picked = taken(scope, at, axis, positions.ravel().tolist())
        return picked if positions.ndim == 1 else reshaped_to(scope, picked, shape)

    scope.moved(gathered)


def _positive(indices: Array, size: int) -> Array:
    """Indices into an axis, counted from its beginning. Raises Rejected."""
    positive = np.where(indices < 0, indices.astype(np.int64) + size, indices.astype(np.int64))
    if positive.min(initial=0) < 0 or positive.max(initial=0) >= size:
        raise Rejected("an index is out of range")
    return positive


def _by_computed(scope: Scope, value: Value, indices: Discrete, axis: int) -> None:
    """Elements along an axis by indices of the IR; a table may be constant."""
    shape = scope.shape()

    def gathered(at: Placed) -> Placed:
        at, places = scope.plain(at), scope.plain(indices.at)
        quant = scope.state.type_of(at).quant
        return Placed(
            scope.state.emit(Gather(axis), [at.name, places.name], scope.name, quant), shape, identity(len(shape))
        )

    _picked(scope, value, gathered)


def _picked(scope: Scope, value: Value, gathered: Callable[[Placed], Placed]) -> None:
    """The result is elements of a tensor, or of a constant table, by positions that are computed."""
    if isinstance(value, Known) and value.quantized is not None and value.quantized.axis is None:
        order = identity(len(value.shape))
        name = quantized_constant(scope, value, len(order), order)
        quant = scope.state.builder.types[name].quant
        if quant is None:
            raise Rejected("its table has no scale")
        scope.set(Dequantized(gathered(Placed(name, value.shape, order)), quant))
    elif isinstance(value, Known) and value.array.dtype == np.float32 and not scope.in_float and _is_rounded(scope):
        scope.set(Arranged((value,), lambda places, _: gathered(places[0]), scope.shape()))
    elif isinstance(value, Known):
        combined(scope, [value], lambda places, _: gathered(places[0]))
    else:
        scope.moved(gathered)


def _is_rounded(scope: Scope) -> bool:
    """Whether all that reads the node's result is QuantizeLinear, so that a table may be rounded in its place."""
    readers = [node.op_type for node in scope.state.model.nodes if scope.name in node.input]
    outputs = [value.name for value in scope.state.model.outputs]
    return scope.name not in outputs and set(readers) == {"QuantizeLinear"}


@importer("GatherND")
def gather_nd(scope: Scope) -> None:
    value = scope.value()
    if scope.attribute("batch_dims", 0):
        raise Rejected("batch_dims")
    depth = scope.value(1).shape[-1]
    indices, shape = wrapped(scope, scope.value(1), value.shape[:depth]), scope.shape()

    def gathered(at: Placed) -> Placed:
        at = scope.plain(at)
        quant = scope.state.type_of(at).quant
        name = scope.state.emit(GatherND(), [at.name, indices.at.name], scope.name, quant)
        return Placed(name, shape, identity(len(shape)))

    _picked(scope, value, gathered)


@importer("GatherElements")
def gather_elements(scope: Scope) -> None:
    """By constant indices."""
    size = scope.value().shape
    axis = int(scope.attribute("axis", 0)) % len(size)
    indices = _positive(scope.constant(1, "the list of indices"), size[axis])
    flat = _flat(indices, axis, size).tolist()
    shape = scope.shape()
    scope.moved(lambda at: _from_row(scope, at, flat, shape))


def _flat(indices: Array, axis: int, size: Sequence[int]) -> Array:
    """Positions in a tensor of this size, of which `indices` are the coordinates along an axis."""
    places = [indices if i == axis else place for i, place in enumerate(np.indices(indices.shape))]
    return np.ravel_multi_index(tuple(places), size).ravel()


def _from_row(scope: Scope, at: Placed, positions: Sequence[int], shape: tuple[int, ...]) -> Placed:
    """Elements of a tensor by their positions in ONNX's order."""
    row = reshaped_to(scope, scope.plain(at), (prod(at.shape),))
    return reshaped_to(scope, taken(scope, row, 0, positions), shape)


# Put at positions.


@importer("ScatterElements")
def scatter_elements(scope: Scope) -> None:
    """At constant indices, without a reduction."""
    size = scope.value().shape
    axis = int(scope.attribute("axis", 0)) % len(size)
    indices = _positive(scope.constant(1, "the list of indices"), size[axis])
    _put(scope, _flat(indices, axis, size))


@importer("ReverseSequence")
def reverse_sequence(scope: Scope) -> None:
    axes = int(scope.attribute("time_axis", 0)), int(scope.attribute("batch_axis", 1))
    lengths, shape = discrete(scope, scope.value(1)), scope.shape()

    def reversed_(at: Placed) -> Placed:
        at = scope.plain(at)
        quant = scope.state.type_of(at).quant
        name = scope.state.emit(ReverseSequence(*axes), [at.name, scope.plain(lengths.at).name], scope.name, quant)
        return Placed(name, shape, identity(len(shape)))

    scope.moved(reversed_)


@importer("ScatterND")
def scatter_nd(scope: Scope) -> None:
    """At constant indices, or at one that is computed, without a reduction; sums at any."""
    size = scope.value().shape
    if scope.attribute("reduction", "none") == "add":
        _added(scope, size)
        return
    if not isinstance(scope.value(1), Known) and prod(scope.value(1).shape[:-1]) == 1:
        scatter_one(scope, scope.value(1))
        return
    indices = scope.constant(1, "the list of indices")
    depth = indices.shape[-1]
    columns = [_positive(indices[..., axis], size[axis]).ravel() for axis in range(depth)]
    first = np.ravel_multi_index(tuple(columns), size[:depth]) * prod(size[depth:])
    _put(scope, (first[:, None] + np.arange(prod(size[depth:]))).ravel())


def _added(scope: Scope, size: tuple[int, ...]) -> None:
    """Operand 0, and what is added to it at coordinates."""
    values = [scope.value(0), scope.value(2)]
    indices = wrapped(scope, scope.value(1), size[: scope.value(1).shape[-1]])

    def summed(places: Sequence[Placed], quant: Quantization | None) -> Placed:
        start, updates = (scope.plain(at) for at in places)
        if quant is not None:
            raise Rejected("reduction 'add' of quantised values")
        put = scope.state.emit(
            ScatterND(size), [scope.plain(indices.at).name, updates.name], f"{scope.name}_sums", None
        )
        if _is_zero(values[0]):
            return Placed(put, size, identity(len(size)))
        return Placed(scope.state.emit(Add(), [start.name, put], scope.name, None), size, identity(len(size)))

    combined(scope, values, summed)


def _is_zero(value: Value) -> bool:
    return isinstance(value, Known) and not value.array.any()


def _put(scope: Scope, positions: Array) -> None:
    """Operand 0 with the elements of operand 2 at these positions, of equal ones the last, in ONNX's order."""
    if scope.attribute("reduction", "none") != "none":
        raise Rejected(f"reduction {scope.attribute('reduction', 'none')!r}")
    values, shape = [scope.value(0), scope.value(2)], scope.shape()
    source = np.arange(prod(shape))
    source[positions] = source.size + np.arange(positions.size)
    if source.size + positions.size > MAX_TAKEN:
        raise Rejected(f"it has {source.size} elements, supported are {MAX_TAKEN}")

    def put(places: Sequence[Placed], quant: Quantization | None) -> Placed:
        rows = [reshaped_to(scope, scope.plain(at), (prod(at.shape),)) for at in places]
        joined = scope.state.emit(Concatenation(0), [row.name for row in rows], scope.name, quant)
        both = Placed(joined, (source.size + positions.size,), identity(1))
        return reshaped_to(scope, taken(scope, both, 0, source.tolist()), shape)

    combined(scope, values, put)


# Repeated.


@importer("Expand")
def expand(scope: Scope) -> None:
    shape = scope.shape()
    scope.ignore(1)  # the inferred shape is what it says

    def broadcast(at: Placed) -> Placed:
        at = scope.aligned(
            scope.unfolded(at), len(shape), at.order if len(at.shape) == len(shape) else identity(len(shape))
        )
        if at.shape == shape:
            return at
        return scope.move(at, BroadcastTo(tuple(shape[axis] for axis in at.order)), shape, at.order)

    scope.moved(broadcast)


@importer("Tile")
def tile(scope: Scope) -> None:
    times, shape = scope.integers(1, "the number of repeats"), scope.shape()

    def repeated(at: Placed) -> Placed:
        at = scope.unfolded(at)
        return scope.move(at, Repeat(tuple(times[axis] for axis in at.order)), shape, at.order)

    scope.moved(repeated)


@importer("OneHot")
def one_hot(scope: Scope) -> None:
    """Floats, by indices that are integers."""
    values = scope.constant(2, "the values").ravel()
    scope.constant(1, "the depth")
    shape = scope.shape()
    axis = int(scope.attribute("axis", -1)) % len(shape)
    if values.dtype != np.float32:
        raise Rejected(f"its values are {values.dtype.name}, supported is float32")
    if not is_discrete(scope.value()):
        raise Rejected("its indices are floats")
    indices = wrapped(scope, scope.value(), [shape[axis]])
    op = OneHot(axis, shape[axis], float(values[1]), float(values[0]), FLOAT32)
    name = scope.state.emit(op, [scope.plain(indices.at).name], scope.name, None)
    scope.set(Real(Placed(name, shape, identity(len(shape)))))


@importer("CumSum", "CumProd")
def cumulative(scope: Scope) -> None:
    """Of integers; quantised ones in float32."""
    value = scope.value()
    axis = scope.integers(1, "the axis")[0] % len(value.shape)
    exclusive, reverse = bool(scope.attribute("exclusive", 0)), bool(scope.attribute("reverse", 0))
    if not isinstance(value, Real | Discrete):
        raise Rejected(NOT_ROUNDED)
    at = scope.unfolded(value.at)
    op = (CumulativeSum if scope.kind == "CumSum" else CumulativeProduct)(at.order.index(axis), exclusive, reverse)
    result = Placed(scope.state.emit(op, [at.name], scope.name, None), at.shape, at.order)
    scope.set(Real(result) if isinstance(value, Real) else Discrete(result, value.dtype))

"""Operators that read or write at places that a tensor of integers names."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.frontend.builder import results_of
from tinycompile.frontend.tflite_axes import axis_of
from tinycompile.frontend.tflite_hybrid import dequantized_rows
from tinycompile.frontend.tflite_moves import EMPTY
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import PACKED, Rejected, Scope
from tinycompile.ir import Array
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.gather import Gather
from tinycompile.ops.gather_nd import GatherND
from tinycompile.ops.one_hot import OneHot
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.reverse_sequence import ReverseSequence
from tinycompile.ops.scatter_nd import ScatterND
from tinycompile.ops.take import Take


@importer("GATHER", options=tflite.GatherOptions, versions=8)
def gather(scope: Scope) -> None:
    """By constant indices it is as cheap as a slice."""
    x, indices = scope.input_type(), scope.input_type(1)
    axis = axis_of(scope, scope.options.integer("Axis"), len(x.shape))
    batch = scope.options.integer("BatchDims")
    batch = batch + len(indices.shape) if batch < 0 else batch
    if 0 in indices.shape:
        raise Rejected(EMPTY)
    known = scope.known(1)
    if known is not None:
        _check_range(known, x.shape[axis])
    if known is None or batch or known.size > MAX_TAKEN:
        return scope.emit(Gather(axis, batch), [scope.input(), scope.input(1)])
    scope.input(1)
    op = Take(axis, tuple(known.ravel().tolist()))
    if known.ndim == 1:
        return scope.emit(op, [scope.input()])
    (found,) = results_of(op, [x])
    taken = scope.temporary("taken", replace(found, quant=x.quant))
    scope.emit(op, [scope.input()], taken)
    return scope.emit(Reshape((*x.shape[:axis], *known.shape, *x.shape[axis + 1 :])), [taken])


MAX_TAKEN = 4096
"""Indices that are part of an operator; more are a tensor of their own."""


def _check_range(indices: Array, *sizes: int) -> None:
    """LiteRT ends the inference with an error where a constant index is outside of its axis."""
    for axis, size in enumerate(sizes):
        column = indices[..., axis] if len(sizes) > 1 else indices
        if column.size and not 0 <= column.min() <= column.max() < size:
            raise Rejected(f"it reads index {column.max() if column.min() >= 0 else column.min()} of {size}")


@importer("GATHER_ND", options=tflite.GatherNdOptions, versions=6)
def gather_nd(scope: Scope) -> None:
    known, shape = scope.known(1), scope.input_type().shape
    if known is not None and known.ndim and known.shape[-1] <= len(shape):
        _check_range(known[..., None] if known.shape[-1] == 0 else known, *shape[: known.shape[-1]])
    scope.emit(GatherND(), [scope.input(), scope.input(1)])


@importer("EMBEDDING_LOOKUP", versions=5)
def embedding_lookup(scope: Scope) -> None:
    """Its first operand are the indices."""
    table, y = scope.input_type(1), scope.output_type()
    if len(scope.input_type().shape) != 1:
        raise scope.fail(f"the indices have the shape {list(scope.input_type().shape)}")
    if table.dtype in (INT8, *PACKED) and y.dtype == FLOAT32:
        return dequantized_rows(scope, 1, 0)
    if table.dtype != y.dtype:
        raise Rejected(f"the table is {table.dtype} and the output {y.dtype}")
    return scope.emit(Gather(0), [scope.input(1), scope.input(0)])


@importer("SCATTER_ND", options=tflite.ScatterNdOptions, versions=1)
def scatter_nd(scope: Scope) -> None:
    known, shape = scope.known(0), tuple(scope.integers(2, "the shape"))
    if known is not None and known.ndim and 0 < known.shape[-1] <= len(shape):
        _check_range(known, *shape[: known.shape[-1]])
    scope.emit(ScatterND(shape), [scope.input(0), scope.input(1)])


@importer("DYNAMIC_UPDATE_SLICE", options=tflite.DynamicUpdateSliceOptions, versions=6)
def dynamic_update_slice(scope: Scope) -> None:
    scope.emit(DynamicUpdateSlice(), scope.inputs())


@importer("REVERSE_SEQUENCE", options=tflite.ReverseSequenceOptions, versions=1)
def reverse_sequence(scope: Scope) -> None:
    rank = len(scope.input_type().shape)
    axis, batch_axis = scope.options.integer("SeqDim"), scope.options.integer("BatchDim")
    if not 0 <= axis < rank or not 0 <= batch_axis < rank or axis == batch_axis:
        raise scope.fail(f"seq_dim and batch_dim are {axis} and {batch_axis} of {rank} axes")
    scope.emit(ReverseSequence(axis, batch_axis), [scope.input(0), scope.input(1)])


@importer("ONE_HOT", options=tflite.OneHotOptions, versions=1)
def one_hot(scope: Scope) -> None:
    rank, axis, y = len(scope.input_type().shape), scope.options.integer("Axis"), scope.output_type()
    depth = scope.integers(1, "the depth")
    on, off = scope.constant(2, "the value of the named element"), scope.constant(3, "the value of the others")
    for operand, value in ((2, on), (3, off)):
        if value.size != 1 or value.dtype != y.dtype.carrier:
            raise scope.fail(f"operand {operand} is {value.dtype.name}{list(value.shape)} for {y}")
        scope.input_type(operand)
    if len(depth) != 1:
        raise scope.fail(f"the depth is {depth}")
    axis = rank if axis == -1 else axis
    scope.emit(OneHot(axis, depth[0], on.ravel()[0].item(), off.ravel()[0].item(), y.dtype), [scope.input()])

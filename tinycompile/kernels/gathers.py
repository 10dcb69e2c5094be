"""Operators that a tensor of integers tells where to read or write."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.moves import copy_instructions
from tinycompile.ops.dynamic_slice import DynamicSlice
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.gather import Gather
from tinycompile.ops.gather_nd import GatherND
from tinycompile.ops.one_hot import OneHot
from tinycompile.ops.reverse_sequence import ReverseSequence
from tinycompile.ops.scatter_nd import ScatterND
from tinycompile.targets.core import Core

COORDINATE_AXES = 8
"""TC_GATHER_AXES."""
UPDATE_AXES = 6
"""TC_UPDATE_AXES."""


def _constants(site: Site, names: Sequence[str]) -> tuple[Constant, ...]:
    """The operands that are known, under the names of the parameters that they are."""
    return tuple(
        Constant(name, t.dtype.ctype, t.dtype.c_elements(value), f"{t}")
        for name, t, value in zip(names, site.sig.inputs, site.constants, strict=True)
        if value is not None
    )


def _parameters(site: Site, names: Sequence[str]) -> tuple[str, ...]:
    """Of the operands in RAM, the output, then the constant operands."""
    declared = [f"const {t.dtype.ctype} *{name}" for name, t in zip(names, site.sig.inputs, strict=True)]
    dynamic = [text for text, value in zip(declared, site.constants, strict=True) if value is None]
    constant = [text for text, value in zip(declared, site.constants, strict=True) if value is not None]
    return (*dynamic, f"{site.sig.output.dtype.ctype} *output", *constant)


def _stem(kind: str, t: TensorType) -> str:
    return f"{kind}_{'x'.join(map(str, t.shape)) or 'scalar'}"


@kernel_for(Gather, dtype=None)
def gather(site: Site, core: Core) -> Kernel | None:
    """`tc_gather_axis`."""
    op, (x, indices) = site.node.op, site.sig.inputs
    if not isinstance(op, Gather):
        return None
    inner = prod(x.shape[op.axis + 1 :]) * x.dtype.item_bytes
    batch, outer = prod(x.shape[: op.batch_dims]), prod(x.shape[op.batch_dims : op.axis])
    count = prod(indices.shape[op.batch_dims :])
    fields = {"batch": batch, "outer": outer, "size": x.shape[op.axis], "count": count, "inner": inner}
    fields |= {"index_bytes": indices.dtype.item_bytes}
    names = ("input", "indices")
    function = struct_call(
        _stem("gather", site.sig.output),
        "tc_gather_axis",
        "tc_gather.h",
        _parameters(site, names),
        (Struct("tc_gather_shape", fields),),
        "Elements of an axis by index.",
        (*names, "output"),
    )
    return Kernel(
        "gather",
        function,
        _constants(site, names),
        instructions=30 + batch * outer * (6 + count * (9 + copy_instructions(inner))),
        code_bytes=150,
    )


def _coordinates(shape: Sequence[int], item: int, indices: TensorType) -> Fields:
    """Members of a `tc_coordinates` along the first axes of a tensor."""
    axes = indices.shape[-1]
    padding = [1] * (COORDINATE_AXES - axes)
    return {
        "count": prod(indices.shape[:-1]),
        "axes": axes,
        "size": [*shape[:axes], *padding],
        "stride": [*(prod(shape[axis + 1 :]) * item for axis in range(axes)), *padding],
        "inner": prod(shape[axes:]) * item,
        "index_bytes": indices.dtype.item_bytes,
    }


@kernel_for(GatherND, dtype=None)
def gather_nd(site: Site, core: Core) -> Kernel | None:
    """`tc_gather_nd`."""
    x, indices = site.sig.inputs
    fields, names = _coordinates(x.shape, x.dtype.item_bytes, indices), ("input", "indices")
    inner = prod(x.shape[indices.shape[-1] :]) * x.dtype.item_bytes
    function = struct_call(
        _stem("gather_nd", site.sig.output),
        "tc_gather_nd",
        "tc_gather.h",
        _parameters(site, names),
        (Struct("tc_coordinates", fields),),
        "Slices by coordinates.",
        (*names, "output"),
    )
    per_slice = 6 + 8 * indices.shape[-1] + copy_instructions(inner)
    return Kernel(
        "gather_nd",
        function,
        _constants(site, names),
        instructions=30 + prod(indices.shape[:-1]) * per_slice,
        code_bytes=150,
    )


@kernel_for(ScatterND, dtype=None)
def scatter_nd(site: Site, core: Core) -> Kernel | None:
    """`tc_scatter_nd_...` of the element type; None for one that it doesn't have."""
    (indices, updates), y = site.sig.inputs, site.sig.output
    if str(y.dtype) not in ("int8", "uint8", "int16", "int32", "int64", "float32", "bool"):
        return None
    names = ("indices", "updates")
    function = struct_call(
        _stem("scatter_nd", y),
        f"tc_scatter_nd_{y.dtype}",
        "tc_gather.h",
        _parameters(site, names),
        (Struct("tc_coordinates", _coordinates(y.shape, y.dtype.item_bytes, indices)),),
        "Slices added to zeros at coordinates.",
        (*names, "output", str(y.elements)),
    )
    tuples_ = prod(indices.shape[:-1])
    return Kernel(
        "scatter_nd",
        function,
        _constants(site, names),
        instructions=60 + y.bytes // 4 + tuples_ * (8 + 8 * indices.shape[-1]) + 7 * updates.elements,
        code_bytes=200,
    )


def _piece(x: TensorType, size: tuple[int, ...], begin: TensorType) -> Struct:
    """A `tc_update_shape`."""
    item, unused = x.dtype.item_bytes, UPDATE_AXES - len(x.shape)
    fields = {
        "bytes": x.bytes,
        "size": [*[1] * unused, *x.shape],
        "part": [*[1] * unused, *size],
        "begin": [*[-1] * unused, *range(len(x.shape))],
        "stride": [*[0] * unused, *(prod(x.shape[axis + 1 :]) * item for axis in range(len(x.shape)))],
        "run": (size[-1] if size else 1) * item,
        "index_bytes": begin.dtype.item_bytes,
    }
    return Struct("tc_update_shape", fields)


@kernel_for(DynamicUpdateSlice, dtype=None)
def dynamic_update_slice(site: Site, core: Core) -> Kernel | None:
    """`tc_update`, which may work in place."""
    x, update, begin = site.sig.inputs
    run = (update.shape[-1] if update.shape else 1) * x.dtype.item_bytes
    names = ("input", "update", "begin")
    function = struct_call(
        _stem("dynamic_update_slice", x),
        "tc_update",
        "tc_gather.h",
        _parameters(site, names),
        (_piece(x, update.shape, begin),),
        "A piece of a tensor replaced.",
        (*names, "output"),
    )
    copied = x.bytes // 4 + 30
    rows = update.bytes // run
    return Kernel(
        "dynamic_update_slice",
        function,
        _constants(site, names),
        instructions=40 + 10 * len(x.shape) + copied + rows * (12 + copy_instructions(run)),
        code_bytes=250,
        in_place=site.constants[0] is None,
    )


@kernel_for(DynamicSlice, dtype=None)
def dynamic_slice(site: Site, core: Core) -> Kernel | None:
    """`tc_slice_at`."""
    x, begin = site.sig.inputs
    shape = _piece(x, site.sig.output.shape, begin)
    names = ("input", "begin")
    function = struct_call(
        _stem("dynamic_slice", site.sig.output),
        "tc_slice_at",
        "tc_gather.h",
        _parameters(site, names),
        (shape,),
        "A piece of a tensor.",
        (*names, "output"),
    )
    run = (site.sig.output.shape[-1] if x.shape else 1) * x.dtype.item_bytes
    return Kernel(
        "dynamic_slice",
        function,
        _constants(site, names),
        instructions=40 + 10 * len(x.shape) + site.sig.output.bytes // run * (12 + copy_instructions(run)),
        code_bytes=200,
    )


@kernel_for(ReverseSequence, dtype=None)
def reverse_sequence(site: Site, core: Core) -> Kernel | None:
    """`tc_reverse_sequence`."""
    op, (x, lengths) = site.node.op, site.sig.inputs
    if not isinstance(op, ReverseSequence):
        return None
    first, second = sorted((op.axis, op.batch_axis))
    inner = prod(x.shape[second + 1 :]) * x.dtype.item_bytes
    fields = {
        "outer": prod(x.shape[:first]),
        "first": x.shape[first],
        "middle": prod(x.shape[first + 1 : second]),
        "second": x.shape[second],
        "inner": inner,
        "batch_first": int(op.batch_axis == first),
        "index_bytes": lengths.dtype.item_bytes,
    }
    names = ("input", "lengths")
    function = struct_call(
        _stem("reverse_sequence", x),
        "tc_reverse_sequence",
        "tc_gather.h",
        _parameters(site, names),
        (Struct("tc_reverse_sequence_shape", fields),),
        "The beginnings of sequences, the other way round.",
        (*names, "output"),
    )
    return Kernel(
        "reverse_sequence",
        function,
        _constants(site, names),
        instructions=30 + x.bytes // max(inner, 1) * (25 + copy_instructions(inner)),
        code_bytes=200,
    )


@kernel_for(OneHot, dtype=None)
def one_hot(site: Site, core: Core) -> Kernel | None:
    """`tc_one_hot`."""
    op, indices, y = site.node.op, site.sig.input, site.sig.output
    if not isinstance(op, OneHot):
        return None
    inner, item = prod(indices.shape[op.axis :]), y.dtype.item_bytes
    fields = {"outer": prod(indices.shape[: op.axis]), "depth": op.depth, "inner": inner}
    fields |= {"index_bytes": indices.dtype.item_bytes}
    values = np.array([op.off, op.on]).astype(y.dtype.carrier)
    function = struct_call(
        _stem("one_hot", y),
        "tc_one_hot",
        "tc_gather.h",
        (f"const {indices.dtype.ctype} *indices", f"{y.dtype.ctype} *output", f"const {y.dtype.ctype} *values"),
        (Struct("tc_one_hot_shape", fields),),
        "Rows with one element that differs.",
        ("indices", "output", "values + 1", "values", str(item)),
    )
    return Kernel(
        "one_hot",
        function,
        (_values(y.dtype, values),),
        instructions=30 + y.elements * (3 + copy_instructions(item)) + 14 * indices.elements,
        code_bytes=150,
    )


def _values(dtype: DType, values: Array) -> Constant:
    return Constant("values", dtype.ctype, dtype.c_elements(values), "of the other elements, of the named one")

"""Operators with ONNX's rounding that TFLite's kernels don't compute: binary ones, softmax; and `take`."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.binary import Routine, RunCost, binary_kernel
from tinycompile.kernels.elementwise import broadcast_sum, flat_sum
from tinycompile.kernels.generic_c import Struct, range_fields, struct_call
from tinycompile.kernels.generic_overlap import gathered_distance
from tinycompile.kernels.linear_form import sum_form
from tinycompile.ops.onnx_binary import OnnxBinary
from tinycompile.ops.onnx_softmax import OnnxSoftmax
from tinycompile.ops.take import Take
from tinycompile.targets.core import Core

_SIGNS = {"add": 1, "sub": -1}


@kernel_for(OnnxBinary)
def onnx_sum(site: Site, core: Core) -> Kernel | None:
    """`tc_sum_s8` where an integer form gives the float result for all pairs of operands."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, OnnxBinary) or op.function not in _SIGNS:
        return None
    form = sum_form(op, sig, _SIGNS[op.function])
    if form is None:
        return None
    if sig.inputs[0].shape == sig.inputs[1].shape:
        return flat_sum(site, op, core, form)
    return broadcast_sum(site, op, core, form)


@kernel_for(OnnxBinary)
def onnx_binary(site: Site, core: Core) -> Kernel | None:
    """`tc_onnx_<function>_s8`, in float."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, OnnxBinary):
        return None
    a, b = sig.inputs
    fields = {
        "a_scale": np.float32(a.scale),
        "b_scale": np.float32(b.scale),
        "output_scale": np.float32(sig.output.scale),
        "a_zero_point": a.zero_point,
        "b_zero_point": b.zero_point,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    struct = Struct("tc_onnx_binary_form", fields, "form")
    cost = RunCost.one_by_one(12, 24 if core.has("fpu") else 400)
    return binary_kernel(site, op, Routine(f"onnx_{op.function}", "tc_onnx_binary.h", cost), struct)


@kernel_for(OnnxSoftmax)
def onnx_softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_onnx_softmax_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, OnnxSoftmax):
        return None
    exponentials = op.exponentials(sig)
    exponentials = exponentials[: np.count_nonzero(exponentials)]
    depth = sig.input.shape[-1]
    factor, kept, drop = op.factor(sig)
    fields = {"rows": sig.input.elements // depth, "depth": depth, "count": exponentials.size}
    fields |= {"factor": factor, "drop": drop, "kept": kept, "zero_point": sig.output.zero_point}
    function = struct_call(
        f"softmax_{fields['rows']}x{depth}",
        "tc_onnx_softmax_s8",
        "tc_onnx_softmax.h",
        ("const int8_t *input", "int8_t *output", "const int32_t *exponentials"),
        (Struct("tc_onnx_softmax_shape", fields),),
        "Softmax over the last axis.",
    )
    return Kernel(
        "onnx_softmax",
        function,
        (Constant("exponentials", "int32_t", exponentials, "2^30 exp(-d * scale) for d = max - x"),),
        instructions=20 + fields["rows"] * (30 + 120 * depth),
        code_bytes=300,
        overlap={0: 0},
        notes={"requantisation": "64-bit quotient"},
    )


@kernel_for(Take)
def take(site: Site, core: Core) -> Kernel | None:
    """No code where nothing changes."""
    op = site.node.op
    if isinstance(op, Take) and op.indices == tuple(range(site.sig.input.shape[op.axis])):
        return Kernel("take", None, alias_of=0)
    return None


@kernel_for(Take)
def take_copied(site: Site, core: Core) -> Kernel | None:
    """`tc_slice` for neighbours, `tc_take` for any indices."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Take):
        return None
    shape, item = sig.input.shape, sig.input.dtype.item_bytes
    size, indices = shape[op.axis], np.array(op.indices)
    outer, inner = prod(shape[: op.axis]), prod(shape[op.axis + 1 :]) * item
    neighbours = bool(np.all(np.diff(indices) == 1))
    if size > 1 << 16:
        return None
    fields = {"outer": outer, "size": size, "count": indices.size, "inner": inner, "first": int(indices[0])}
    ctype = sig.input.dtype.ctype
    parameters = (f"const {ctype} *input", f"{ctype} *output")
    function = struct_call(
        f"{'slice' if neighbours else 'take'}_{'x'.join(map(str, sig.output.shape))}",
        "tc_slice" if neighbours else "tc_take",
        "tc_take.h",
        parameters if neighbours else (*parameters, "const uint16_t *indices"),
        (Struct("tc_take_shape", fields),),
        "Some elements of an axis.",
    )
    constants = (
        Constant("indices", "uint16_t", indices.astype(np.uint16), "the input element of each output element"),
    )
    return Kernel(
        "slice" if neighbours else "take",
        function,
        () if neighbours else constants,
        instructions=20 + outer * (indices.size * (8 + inner) if not neighbours else 8 + indices.size * inner),
        code_bytes=120,
        overlap={0: gathered_distance(_runs(outer, size, indices), inner)},
    )


def _runs(outer: int, size: int, indices: Array) -> Array:
    return (np.arange(outer)[:, None] * size + indices).ravel()

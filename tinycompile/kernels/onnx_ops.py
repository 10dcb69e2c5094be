"""Operators with ONNX's rounding that TFLite's kernels don't compute: binary ones, softmax; and `take`."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.binary import Routine, RunCost, binary_kernel
from tinycompile.kernels.generic_c import Struct, range_fields, struct_call
from tinycompile.kernels.generic_overlap import gathered_distance
from tinycompile.kernels.softmax import WORTH_FOURS
from tinycompile.ops._elementwise import DequantizedBinary
from tinycompile.ops.add import Add
from tinycompile.ops.div import Div
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.take import Take
from tinycompile.targets.core import Core


@kernel_for(Add, Sub, Mul, Div, Minimum, Maximum)
def onnx_binary(site: Site, core: Core) -> Kernel | None:
    """`tc_onnx_<kind>_s8`, in float."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DequantizedBinary) or op.rule != "onnx":
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
    cost = RunCost.one_by_one(12, 24 if core.has("fpu") else 360 if core.has("multiply_accumulate") else 400)
    return binary_kernel(site, op, Routine(f"onnx_{op.kind}", "tc_onnx_binary.h", cost), struct)


@kernel_for(Softmax)
def onnx_softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_onnx_softmax_s8`, or `tc_onnx_softmax_mve_s8`, whose exponentials are gathered four at a time."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Softmax) or op.rule != "onnx":
        return None
    form = op.form(sig)
    entries = form.exponentials[: np.count_nonzero(form.exponentials)]
    entries = np.pad(entries, (0, int(entries.size < 256)))[::-1]
    depth = sig.input.shape[-1]
    rows = sig.input.elements // depth
    fields = {"rows": rows, "depth": depth, "entries": entries.size, "factor": form.factor}
    fields |= {"drop": form.drop, "kept": form.kept, "zero_point": sig.output.zero_point}
    helium = core.has("mve") and sig.input.elements >= WORTH_FOURS
    function = struct_call(
        f"softmax_{rows}x{depth}",
        "tc_onnx_softmax_mve_s8" if helium else "tc_onnx_softmax_s8",
        "tc_mve_onnx_softmax.h" if helium else "tc_onnx_softmax.h",
        ("const int8_t *input", "int8_t *output", "const int32_t *entries"),
        (Struct("tc_onnx_softmax_shape", fields),),
        "Softmax over the last axis.",
    )
    each = 12.6 if sig.output.zero_point == -128 else 14.1
    row = (
        120 + 7 * depth
        if helium
        else 95 + each * depth
        if core.has("dsp")
        else 115 + 24 * depth
        if core.has("long_multiply")
        else 400 + 64 * depth
    )
    return Kernel(
        "onnx_softmax_mve" if helium else "onnx_softmax",
        function,
        (Constant("entries", "int32_t", entries, "2^30 exp(-d * beta * scale) for d = max - x"),),
        instructions=round(20 + rows * row),
        code_bytes=900,
        overlap={0: 0},
        notes={"requantisation": "reciprocal of the sum, or a 64-bit quotient"},
        bytewise=not helium,
    )


@kernel_for(Softmax, dtype=INT16)
def onnx_wide_softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_onnx_softmax_s16`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Softmax) or op.rule != "onnx":
        return None
    form, depth = op.wide_form(sig), sig.input.shape[-1]
    rows = sig.input.elements // depth
    fields = {"rows": rows, "depth": depth, "factor": form.factor, "shift": form.shift}
    function = struct_call(
        f"wide_softmax_{rows}x{depth}",
        "tc_onnx_softmax_s16",
        "tc_wide_onnx_softmax.h",
        ("const int16_t *input", "int16_t *output", "const int64_t *coarse", "const int64_t *fine"),
        (Struct("tc_wide_onnx_softmax_shape", {**fields, "zero_point": sig.output.zero_point}),),
        "Softmax over the last axis.",
    )
    return Kernel(
        "onnx_wide_softmax",
        function,
        (
            Constant("coarse", "int64_t", form.coarse, "2^62 exp(-256 i * beta * scale)"),
            Constant("fine", "int64_t", form.fine, "2^62 exp(-i * beta * scale)"),
        ),
        instructions=20 + rows * (30 + (230 if core.has("long_multiply") else 900) * depth),
        code_bytes=500,
        overlap={0: 0},
        notes={"requantisation": "64-bit quotient"},
    )


@kernel_for(Take, dtype=None)
def take(site: Site, core: Core) -> Kernel | None:
    """No code where nothing changes."""
    op = site.node.op
    if isinstance(op, Take) and op.indices == tuple(range(site.sig.input.shape[op.axis])):
        return Kernel("take", None, alias_of=0)
    return None


@kernel_for(Take, dtype=None)
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

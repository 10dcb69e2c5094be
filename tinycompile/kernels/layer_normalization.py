"""Rows normalised to a mean of 0 and a variance of 1, all of a row's passes in one function."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.layer_normalization import LayerNormalization
from tinycompile.targets.core import Core

_COMMENT = "Rows with a mean of 0 and a variance of 1, times a factor and plus a summand of each column."


@kernel_for(LayerNormalization)
def layer_normalization(site: Site, core: Core) -> Kernel | None:
    """`tc_layer_normalization_s8`."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, LayerNormalization):
        return None
    rows, depth = x.elements // x.shape[-1], x.shape[-1]
    form = op.form(site.sig, site.constant(1), site.constant(2))
    bias = np.append(form.bias, np.int64(form.epsilon))
    fields = {
        "rows": rows,
        "depth": depth,
        "centred": int(op.centred),
        "zero_sum": form.zero_sum or 0,
        "fraction": form.fraction,
        "element_bits": form.element_bits,
        "shift": form.shift,
    }
    function = struct_call(
        f"layer_normalization_{rows}x{depth}",
        "tc_layer_normalization_s8",
        "tc_layer_normalization.h",
        ("const int8_t *input", "int8_t *output", "const int32_t *scale", "const int64_t *bias"),
        (Struct("tc_layer_normalization_shape", fields),),
        _COMMENT,
    )
    each = 23 if core.has("long_multiply") else 110
    root = 110 if core.has("dsp") else 100 if core.has("long_multiply") else 900
    row = root + (10 * depth + 9 * (depth % 8) if core.has("dsp") else each * depth)
    return Kernel(
        "layer_normalization",
        function,
        (
            Constant("scale", "int32_t", form.scale, "factors, in steps of the output"),
            Constant("bias", "int64_t", bias, "summands, with zero point and the half that rounding takes; epsilon"),
        ),
        instructions=30 + rows * row,
        code_bytes=720 if core.has("dsp") else 450,
        in_place=True,
        notes={"requantisation": "of each row, by its reciprocal root"},
    )


@kernel_for(LayerNormalization, dtype=FLOAT32)
def layer_normalization_float(site: Site, core: Core) -> Kernel | None:
    """`tc_float_layer_normalization`."""
    op, x = site.node.op, site.sig.input
    if not isinstance(op, LayerNormalization):
        return None
    rows, depth = x.elements // x.shape[-1], x.shape[-1]
    fields = {"rows": rows, "depth": depth, "centred": int(op.centred), "epsilon": np.float32(op.epsilon)}
    function = struct_call(
        f"float_layer_normalization_{rows}x{depth}",
        "tc_float_layer_normalization",
        "tc_float_layer_normalization.h",
        ("const float *input", "float *output", "const float *scale", "const float *bias"),
        (Struct("tc_float_layer_normalization_shape", fields),),
        _COMMENT,
    )
    per_operation = 1 if core.has("fpu") else 60
    operations = 7 if op.centred else 4
    return Kernel(
        "layer_normalization_float",
        function,
        (
            Constant("scale", "float", np.asarray(site.constant(1), np.float32), "factors"),
            Constant("bias", "float", np.asarray(site.constant(2), np.float32), "summands"),
        ),
        instructions=30 + rows * (40 + 40 * per_operation + depth * (9 + operations * per_operation)),
        code_bytes=250,
        in_place=True,
    )

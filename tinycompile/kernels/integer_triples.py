"""Products of int8 with computed zero points and constant symmetric weights: three vectors by two channels at once."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_stem
from tinycompile.kernels.integer_products import AS_THEY_ARE, Operands, form_of, is_direct, per_output, window_of_images
from tinycompile.kernels.wide_lanes import BLOCK, lane_words
from tinycompile.ops.conv_integer import ConvInteger
from tinycompile.ops.matmul_integer import MatMulInteger
from tinycompile.targets.core import Core

_ORDER = (0, 2, 1, 3)
"""In which two SXTAB16 leave four elements."""


@kernel_for(MatMulInteger, ConvInteger, needs={"dsp"}, unless={"mve"})
def triples(site: Site, core: Core) -> Kernel | None:
    """`tc_conv_integer_triples` or `tc_matmul_integer_triples`; None for groups, and for weights with zero points."""
    op, sig = site.node.op, site.sig
    zeros = site.constants[3]
    if site.constants[1] is None or zeros is None or zeros.any():
        return None
    weights, form = site.constant(1), form_of(site)
    if isinstance(op, ConvInteger):
        if op.groups(sig) != 1:
            return None
        direct, window = is_direct(op, site), op.window_of(sig)
        fields = {**window_of_images(site, op), "groups": 1, "direct": int(direct), "form": form}
        stem = window_stem(window, sig.input, sig.output)
        return _kernel(site, core, "conv_integer", stem, fields, weights.reshape(weights.shape[0], -1), direct)
    rows, columns = sig.output.elements // weights.shape[-1], weights.shape[-1]
    depth = weights.shape[-2]
    if weights.size != depth * columns:
        return None
    sizes = {"rows": rows, "depth": depth, "columns": columns, "zero_point_step": 0, "form": form}
    fields = {"batch": (1, 1, 1), "a_stride": (0, 0, 0), "b_stride": (0, 0, 0), **sizes}
    return _kernel(
        site, core, "matmul_integer", f"{rows}x{depth}_{columns}", fields, weights.reshape(depth, -1).T, True
    )


def _kernel(site: Site, core: Core, name: str, stem: str, fields: Fields, matrix: Array, direct: bool) -> Kernel:
    """`matrix`: weights (C, taps); `direct`: vectors are read where they are."""
    channels, taps = matrix.shape
    groups = -(-taps // 4)
    padded = np.pad(matrix.astype(np.int64), ((0, 0), (0, -taps % 4)))
    ordered = padded.reshape(channels, groups, 4)[:, :, _ORDER].reshape(channels, -1)
    words = Constant("weights", "uint32_t", lane_words(ordered), "per 2 channels and 4 taps")
    operands = Operands.of(site, (words,), AS_THEY_ARE)
    scratch = BLOCK * 8 * groups + (0 if direct else 4 * groups)
    per_pair = 34 + 26 * groups + 2 * BLOCK * (per_output(site, core) - 4)
    per_vector = 30 + 8 * groups + (0 if direct else 100 + taps // 2)
    blocks = -(-(site.sig.output.elements // channels) // BLOCK)
    return Kernel(
        f"{name}_triples",
        struct_call(
            f"{name}_triples_{stem}",
            f"tc_{name}_triples",
            "tc_integer_triples.h",
            (*operands.parameters, "void *scratch"),
            (Struct(f"tc_{name}_shape", fields),),
            "Products of int8 whose zero points are computed.",
            ("a", "weights", "a_zero", operands.scale, operands.bias, "output", "scratch"),
        ),
        operands.constants,
        scratch_bytes=scratch,
        instructions=60 + blocks * (-(-channels // 2) * per_pair + BLOCK * per_vector),
        code_bytes=700,
        notes={"reason": "zero points and scales that are known when the model runs"},
    )

"""Gradients of inputs of layers whose int8 weights are never whole in memory, on cores with the DSP extension."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, safe_distance
from tinycompile.kernels.cover import Sequel, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.master_weights import NOTES, MasterWeights
from tinycompile.kernels.training_layers import geometry_stem
from tinycompile.kernels.training_products import as_row, is_pointwise
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.parameters import RoundedWeights
from tinycompile.targets.core import Core

ROWS = 16
"""TC_MASTER_ROWS."""

TOGETHER = 8
"""Pixels whose sums are in scratch at a time, where not all are."""


@cover_for(Sequel(RoundedWeights, InputGradient), dtype=INT16, needs={"dsp"})
def master_gradient_products(site: Site, core: Core) -> Kernel | None:
    """`tc_master_gradient_products`: the sums of the whole input are in scratch."""
    return _kernel(site, "master_gradient_products", lambda pixels: pixels + pixels % 2)


@cover_for(Sequel(RoundedWeights, InputGradient), dtype=INT16, needs={"dsp"})
def master_gradient_in_two_passes(site: Site, core: Core) -> Kernel | None:
    """The same with the sums of a few pixels, and all computed twice."""
    return _kernel(site, "master_gradient_in_two_passes", lambda pixels: TOGETHER if pixels > TOGETHER else 0)


def _kernel(site: Site, name: str, together: Callable[[int], int]) -> Kernel | None:
    """`together`: by the number of pixels, of how many the sums are in scratch; 0 where that is no kernel."""
    first, second = parts_of(site)
    op = second.node.op
    if not isinstance(op, InputGradient) or second.node.inputs[2] != first.node.outputs[0]:
        return None
    geometry, weights = as_row(op.geometry), MasterWeights(first)
    (_, pixels, inputs), outputs, at_once = geometry.image, geometry.outputs, together(geometry.image[1])
    if not is_pointwise(op.geometry) or pixels < 2 or at_once == 0:
        return None
    fields: Fields = {
        "pixels": pixels,
        "together": at_once,
        "output_channels": outputs,
        "trained": weights.trained,
        "others": weights.others,
        "shift": 2 * MANTISSA_BITS - op.bits,
        "exponent_change": op.exponent_change,
    }
    depth, mantissas = -(-inputs // 4) * 4, np.resize(second.constant(3), outputs)
    of_gradient = site.node.inputs.index(second.node.inputs[0])
    ends = [min(pixels, end + at_once) for end in range(0, pixels, at_once)]
    return Kernel(
        name,
        struct_call(
            f"{name}_{geometry_stem(geometry)}_{weights.trained}",
            "tc_master_gradient_products",
            "tc_master_gradient_products.h",
            (
                *("const int16_t *master", "const int16_t *gradient", "const int32_t *exponent"),
                *("int16_t *output", "int32_t *output_exponent"),
                *weights.declared,
                *("const int16_t *mantissas", "void *scratch"),
            ),
            (Struct("tc_master_products_shape", fields),),
            "The gradient of a trained layer's input, whose weights are rounded a few channels at a time.",
            (
                *("master", weights.argument, "gradient", "exponent", "output", "output_exponent"),
                *("mantissas", "scratch"),
            ),
        ),
        (*weights.constants, Constant("mantissas", "int16_t", mantissas, "of the weights' scales")),
        scratch_bytes=-(-(4 * at_once * depth + 4 * ROWS + ROWS * depth) // 8) * 8,
        instructions=_cost(pixels, depth, outputs, at_once),
        code_bytes=1900,
        overlap={of_gradient: safe_distance((2 * outputs * end, 2 * inputs * end) for end in ends)},
        notes=NOTES,
    )


def _cost(pixels: int, depth: int, outputs: int, together: int) -> int:
    """Counted from the assembly."""
    blocks, quads, passes = -(-outputs // ROWS), depth // 4, 1 if together >= pixels else 2
    rounding = ROWS // 2 * quads * 30
    pair = quads * (ROWS // 2 * 15 + 26) + ROWS * 16 + 60
    sums = -(-pixels // together) * blocks * rounding + -(-pixels // 2) * blocks * pair
    return passes * (sums + prod((pixels, depth)) * 2) + pixels * depth * 8 + 100

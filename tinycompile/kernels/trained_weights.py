"""The forward pass of layers whose weights are trained, on cores with the DSP extension: they are read as they are."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, positions_fields, struct_call
from tinycompile.kernels.linear_layer import added_range
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.training_layers import geometry_stem
from tinycompile.numerics.block_floating import BIAS_LIMIT
from tinycompile.numerics.fixed_point import INT32_MAX
from tinycompile.numerics.proved_requant import solve
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.numerics.requant_solver import fits
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.targets.core import Core

LARGEST_WEIGHT = 128
LONGEST_PITCH = 4095
"""Bytes between channels' weights that a block function reads at an immediate."""

MOST_PRE = 12
"""Bits that sums are shifted to the left before the requantisation: more make it no more exact."""


@kernel_for(TrainedLayer, needs={"dsp"})
def trained_products(site: Site, core: Core) -> Kernel | None:
    """`tc_trained_layer`: three positions times two output channels in registers."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, TrainedLayer) or site.constants[1] is not None or sig.inputs[1].dtype != INT8:
        return None
    geometry = op.layer.geometry(sig.input, sig.inputs[1])
    depth, size = geometry.image[2], prod(geometry.weights[1:])
    fitting = geometry.groups == 1 and not geometry.depthwise and depth % 4 == 0 and size <= LONGEST_PITCH
    if not fitting or geometry.outputs < 2:
        return None
    bias: Array = np.zeros(geometry.outputs, np.int64)
    if len(site.constants) > 2 and site.constants[2] is not None:
        bias = site.constant(2).astype(np.int64)
    found = _requantisation(site, op, geometry, bias)
    requant = None if found is None else RequantBlock.of(found[0])
    if found is None or requant is None:
        return None
    plan, added = found
    fields: Fields = {
        "window": positions_fields(geometry.window, geometry.image[:2], geometry.positions),
        "input_channels": depth,
        "output_channels": geometry.outputs,
        "zero_point": sig.input.zero_point,
        "left": plan.pre,
        "added": {"channels": geometry.outputs, "low": added[0], "high": added[1], "factor": 1 << plan.pre},
        "requant": {
            "is_signed": int(requant.signed),
            "is_rounded": 0,
            "is_unsigned": int(requant.unsigned),
            "bits": requant.bits,
            "shift": requant.shift,
            "low": requant.low,
            "high": requant.high,
            "is_apart": 0,
        },
    }
    has_bias = len(site.constants) > 2 and site.constants[2] is None
    parameters = np.stack([plan.start, *plan.parameters], axis=1).astype(np.int32).ravel()
    block = f"tc_trained_products_{size}"
    return Kernel(
        "trained_products",
        struct_call(
            f"trained_products_{geometry_stem(geometry)}",
            "tc_trained_layer",
            "tc_trained_products.h",
            (
                *("const int8_t *input", "const int8_t *weights"),
                *(["const int32_t *bias"] if has_bias else []),
                *("int8_t *output", "const int32_t *parameters", "void *scratch"),
            ),
            (Struct("tc_trained_shape", fields),),
            "A layer whose weights are trained: three positions and two channels in registers.",
            ("input", "weights", "bias" if has_bias else "NULL", "output", "parameters", "scratch", block),
            (f"TC_TRAINED_PRODUCTS({block}, {size})",),
        ),
        (Constant("parameters", "int32_t", parameters, "start and requantisation of each channel"),),
        scratch_bytes=-(-(4 * geometry.outputs + 6 * size) // 8) * 8,
        instructions=_cost(geometry, size, requant),
        code_bytes=1100,
        notes={"requantisation": plan.form},
    )


def _requantisation(
    site: Site, op: TrainedLayer, geometry: LinearGeometry, bias: Array
) -> tuple[RequantPlan, tuple[int, int]] | None:
    """The plan for any weights, and the range of the bias that is added; None where sums leave 32 bits."""
    zero_point, rule = site.sig.input.zero_point, op.layer.requant(site.sig)
    furthest = prod(geometry.weights[1:]) * LARGEST_WEIGHT * max(127 - zero_point, 128 + zero_point)
    low, high = bias - furthest, bias + furthest
    has_bias = len(site.constants) > 2 and site.constants[2] is None
    added = added_range(rule, low, high, BIAS_LIMIT) if has_bias else (0, 0)
    low, high = low + added[0], high + added[1]
    largest = int(max(-low.min(), high.max()))
    pre = min(MOST_PRE, (INT32_MAX // largest).bit_length() - 1)
    if pre < 0 or not np.all(fits(rule, low, high, pre)):
        return None
    return solve(rule, low, high, bias, pre), added


def _cost(geometry: LinearGeometry, size: int, requant: RequantBlock) -> int:
    """Counted from the assembly."""
    positions, pairs, groups = prod(geometry.positions), -(-geometry.outputs // 2), size // 4
    output = 10 + 2 * requant.signed + requant.clamp_steps
    threes, rest = divmod(positions, 3)
    three = pairs * (40 + 21 * groups + groups // 4 * 3 + 6 * output)
    single = pairs * (40 + 15 * groups + 2 * output)
    last = 0 if rest == 0 else single if rest == 1 else three
    expanded = positions * (prod(geometry.window.kernel) * 25 + 7 * groups)
    return 100 + 12 * geometry.outputs + threes * three + last + expanded

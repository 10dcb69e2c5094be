"""The forward pass of layers whose weights are trained, on cores with the DSP extension: they are read as they are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.cover import Sequel, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, positions_fields, struct_call
from tinycompile.kernels.linear_layer import added_range
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.training_layers import geometry_stem
from tinycompile.numerics.fixed_point import INT32_MAX
from tinycompile.numerics.proved_requant import solve
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.numerics.requant_solver import fits
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.parameters import RoundedWeights
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
    geometry, size = op.layer.geometry(sig.input, sig.inputs[1]), prod(sig.inputs[1].shape[1:])
    finish = TrainedFinish.of(site, op, geometry) if fits_products(geometry) else None
    if finish is None:
        return None
    fields, block = layer_fields(geometry, sig.input.zero_point, finish), f"tc_trained_products_{size}"
    return Kernel(
        "trained_products",
        struct_call(
            f"trained_products_{geometry_stem(geometry)}",
            "tc_trained_layer",
            "tc_trained_products.h",
            (
                *("const int8_t *input", "const int8_t *weights"),
                *(["const int32_t *bias"] if finish.has_bias else []),
                *("int8_t *output", "const int32_t *parameters", "void *scratch"),
            ),
            (Struct("tc_trained_shape", fields),),
            "A layer whose weights are trained: three positions and two channels in registers.",
            ("input", "weights", finish.bias, "output", "parameters", "scratch", block),
            (f"TC_TRAINED_PRODUCTS({block}, {size})",),
        ),
        (finish.parameters,),
        scratch_bytes=-(-(4 * geometry.outputs + 6 * size) // 8) * 8,
        instructions=products_cost(geometry, finish.requant),
        code_bytes=1100,
        notes={"requantisation": finish.plan.form},
    )


def fits_products(geometry: LinearGeometry) -> bool:
    """Whether a block function can read the layer's weights."""
    whole = geometry.groups == 1 and not geometry.depthwise and geometry.outputs > 1
    return whole and geometry.image[2] % 4 == 0 and prod(geometry.weights[1:]) <= LONGEST_PITCH


def layer_fields(geometry: LinearGeometry, zero_point: int, finish: TrainedFinish) -> Fields:
    """Members of `tc_trained_shape`; `zero_point` is the input's."""
    return {
        "window": positions_fields(geometry.window, geometry.image[:2], geometry.positions),
        "input_channels": geometry.image[2],
        "output_channels": geometry.outputs,
        "zero_point": zero_point,
        **finish.fields,
    }


@cover_for(Sequel(RoundedWeights, TrainedLayer), dtype=INT16, needs={"dsp"})
def trained_masters(site: Site, core: Core) -> Kernel | None:
    """`tc_trained_masters`: weights that are read once are rounded as they are read."""
    first, second = parts_of(site)
    op, (x, weights) = second.node.op, second.sig.inputs[:2]
    if not isinstance(op, TrainedLayer) or len(first.sig.inputs) != 1 or first.node.outputs[0] != second.node.inputs[1]:
        return None
    geometry = op.layer.geometry(x, weights)
    inputs = prod(geometry.weights[1:])
    whole = geometry.groups == 1 and not geometry.depthwise and x.elements == inputs
    if not whole or prod(geometry.positions) != 1 or inputs % 2:
        return None
    finish = TrainedFinish.of(second, op, geometry)
    if finish is None:
        return None
    fields: Fields = {"inputs": inputs, "zero_point": x.zero_point, **finish.fields}
    return Kernel(
        "trained_masters",
        struct_call(
            f"trained_masters_{inputs}_{geometry.outputs}",
            "tc_trained_masters",
            "tc_trained_masters.h",
            (
                *("const int16_t *masters", "const int8_t *input"),
                *(["const int32_t *bias"] if finish.has_bias else []),
                *("int8_t *output", "const int32_t *parameters", "void *scratch"),
            ),
            (Struct("tc_trained_masters_shape", fields),),
            "A fully connected layer whose weights are trained, rounded as they are read.",
            ("masters", "input", finish.bias, "output", "parameters", "scratch"),
        ),
        (finish.parameters,),
        scratch_bytes=-(-2 * inputs // 8) * 8,
        instructions=geometry.outputs * (30 + inputs * 5 // 2) + inputs * 5 + 60,
        code_bytes=500,
        notes={"requantisation": finish.plan.form},
    )


@dataclass(frozen=True, eq=False)
class TrainedFinish:
    """From sums to outputs, for any weights.

    Attributes:
        added: the range to which a bias in RAM is clamped.
        has_bias: whether there is one.
    """

    plan: RequantPlan
    requant: RequantBlock
    added: tuple[int, int]
    has_bias: bool

    @staticmethod
    def of(site: Site, op: TrainedLayer, geometry: LinearGeometry, pre: int | None = None) -> TrainedFinish | None:
        """None where sums leave 32 bits, or there is no short requantisation.

        Args:
            pre: bits that sums are shifted to the left; None for as many as there is room for.
        """
        bias: Array = np.zeros(geometry.outputs, np.int64)
        has_bias = len(site.constants) > 2 and site.constants[2] is None
        if len(site.constants) > 2 and not has_bias:
            bias = np.clip(site.constant(2).astype(np.int64), -op.bias_limit, op.bias_limit)
        zero_point, rule = site.sig.input.zero_point, op.layer.requant(site.sig)
        furthest = op.terms(site.sig) * LARGEST_WEIGHT * max(127 - zero_point, 128 + zero_point)
        low, high = bias - furthest, bias + furthest
        added = added_range(rule, low, high, op.bias_limit) if has_bias else (0, 0)
        low, high = low + added[0], high + added[1]
        largest = int(max(-low.min(), high.max()))
        room = (INT32_MAX // largest).bit_length() - 1
        pre = min(MOST_PRE, room) if pre is None else pre
        if pre < 0 or not np.all(fits(rule, low, high, pre)):
            return None
        plan = solve(rule, low, high, bias, pre)
        requant = RequantBlock.of(plan)
        return None if requant is None else TrainedFinish(plan, requant, added, has_bias)

    @property
    def bias(self) -> str:
        """The argument."""
        return "bias" if self.has_bias else "NULL"

    @property
    def fields(self) -> Fields:
        """Members of the shapes."""
        (low, high), requant = self.added, self.requant
        return {
            "left": self.plan.pre,
            "added": {"channels": len(self.plan.start), "low": low, "high": high, "factor": 1 << self.plan.pre},
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

    @property
    def parameters(self) -> Constant:
        """The constant array."""
        values = np.stack([self.plan.start, *self.plan.parameters], axis=1).astype(np.int32).ravel()
        return Constant("parameters", "int32_t", values, "start and requantisation of each channel")


def products_cost(geometry: LinearGeometry, requant: RequantBlock, blocks: int = 1) -> int:
    """Counted from the assembly. `blocks`: how often windows are expanded, for some output channels each."""
    positions, pairs, groups = prod(geometry.positions), -(-geometry.outputs // 2), prod(geometry.weights[1:]) // 4
    output = 10 + 2 * requant.signed + requant.clamp_steps
    threes, rest = divmod(positions, 3)
    three = pairs * (40 + 21 * groups + groups // 4 * 3 + 6 * output)
    single = pairs * (40 + 15 * groups + 2 * output)
    last = 0 if rest == 0 else single if rest == 1 else three
    expanded = blocks * positions * (prod(geometry.window.kernel) * 25 + 7 * groups)
    return 100 + 12 * geometry.outputs + threes * three + last + expanded

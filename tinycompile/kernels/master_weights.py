"""Layers whose int8 weights are never whole in memory: rounded from their int16 master weights as they are needed.

A trained layer's rounded weights are as large as the weights themselves, and in use twice in each step.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.cover import Sequel, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.generic_finish import finish_of
from tinycompile.kernels.training_layers import geometry_fields, geometry_stem, on
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.parameters import RoundedWeights
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.targets.core import Core

HEADER = "tc_master_weights.h"
NOTES = {"reason": "weights are rounded as they are needed"}


class MasterWeights:
    """The first part of a cover: master weights, and those that aren't trained."""

    def __init__(self, part: Site) -> None:
        known = part.constants[1] if len(part.constants) > 1 else None
        self.trained = part.sig.input.shape[-1]
        self.others = part.sig.output.shape[-1] - self.trained
        text = "int8, not trained"
        self.constants = () if known is None else (Constant("other_weights", "int8_t", known.ravel(), text),)
        self.declared = ("const int8_t *others",) if self.others else ()
        self.argument = "others" if self.others else "NULL"

    def struct(self, layer: Fields) -> Struct:
        return Struct("tc_master_weights_shape", {"layer": layer, "trained": self.trained, "others": self.others})


@cover_for(Sequel(RoundedWeights, TrainedLayer), dtype=INT16)
def layer_of_master_weights(site: Site, core: Core) -> Kernel | None:
    """`tc_convolution_of_master`."""
    first, second = parts_of(site)
    op, sig = second.node.op, second.sig
    if not isinstance(op, TrainedLayer) or second.node.inputs[1] != first.node.outputs[0]:
        return None
    geometry, weights = op.layer.geometry(sig.input, sig.inputs[1]), MasterWeights(first)
    channels = sig.output.shape[-1]
    reach = np.full(channels, op.terms(sig) * 255 * 128 + op.bias_limit, np.int64)
    finish = finish_of(second, op.layer.requant(sig), np.zeros(channels, np.int64), op.layer.clamp, (-reach, reach))
    layer = geometry_fields(geometry, sig.input.zero_point, finish.range, bias_limit=op.bias_limit)
    has_bias = len(sig.inputs) > 2
    bias = second.constants[2] if has_bias else None
    declared = ("const int32_t *bias",) if has_bias else ()
    parameters = (
        *("const int16_t *master", "const int8_t *input"),
        *(declared if bias is None else ()),
        "int8_t *output",
        *weights.declared,
        *(() if bias is None else declared),
        *(f"const {finish.ctype} *channels", "void *scratch"),
    )
    size = prod(geometry.weights) // geometry.outputs
    form = "none" if not has_bias else "trained" if bias is None else "fixed"
    rounding, positions = prod(geometry.weights) * 6, geometry.terms_of_weight * geometry.outputs
    return Kernel(
        "layer_of_master_weights",
        struct_call(
            f"{op.layer.kind}_of_master_{geometry_stem(geometry)}_{weights.trained}_{form}",
            "tc_convolution_of_master",
            HEADER,
            parameters,
            (weights.struct(layer),),
            "A trained layer, whose weights are rounded channel by channel.",
            (
                *("master", weights.argument, "input", "bias" if has_bias else "NULL", "output"),
                *("channels", "scratch", finish.function),
            ),
        ),
        (
            *weights.constants,
            *(() if bias is None else (Constant("bias", "int32_t", bias.ravel(), "bias, not trained"),)),
            finish.constant,
        ),
        scratch_bytes=_scratch(size),
        instructions=on(core, positions * (25 + finish.instructions) + geometry.macs * 6 + rounding),
        code_bytes=600,
        notes={"requantisation": finish.form, **NOTES},
    )


@cover_for(Sequel(RoundedWeights, InputGradient), dtype=INT16)
def input_gradient_of_master_weights(site: Site, core: Core) -> Kernel | None:
    """`tc_input_gradient_of_master`: row by row, all of it computed twice."""
    first, second = parts_of(site)
    op = second.node.op
    if not isinstance(op, InputGradient) or second.node.inputs[2] != first.node.outputs[0]:
        return None
    geometry, weights, mantissas = op.geometry, MasterWeights(first), second.constant(3)
    shift, one = 2 * MANTISSA_BITS - op.bits, mantissas.size == 1
    layer = geometry_fields(geometry, shift=shift, change=op.exponent_change, one_scale=one)
    rows, row = geometry.image[0], prod(geometry.image[1:])
    scaling = geometry.outputs * geometry.terms_of_weight * 14 * prod(geometry.window.kernel)
    rounding = prod(geometry.weights) * 6 * rows
    return Kernel(
        "input_gradient_of_master_weights",
        struct_call(
            f"input_gradient_of_master_{geometry_stem(geometry)}_{weights.trained}",
            "tc_input_gradient_of_master",
            HEADER,
            (
                *("const int16_t *master", "const int16_t *gradient", "const int32_t *exponent"),
                *("int16_t *output", "int32_t *output_exponent"),
                *weights.declared,
                *("const int16_t *mantissas", "void *scratch"),
            ),
            (weights.struct(layer),),
            "The gradient of a trained layer's input, whose weights are rounded tap by tap.",
            (
                *("master", weights.argument, "gradient", "exponent", "output", "output_exponent"),
                *("mantissas", "scratch"),
            ),
        ),
        (*weights.constants, Constant("mantissas", "int16_t", mantissas.ravel(), "of the weights' scales")),
        scratch_bytes=_scratch(4 * row + geometry.image[2] // geometry.groups),
        instructions=on(core, 2 * (geometry.macs * 5 + rows * row * 8 + scaling + rounding)),
        code_bytes=800,
        notes=NOTES,
    )


def _scratch(bytes_: int) -> int:
    return -(-bytes_ // 8) * 8

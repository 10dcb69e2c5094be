"""The forward pass of layers whose int8 weights are never whole in memory, on cores with the DSP extension."""

from __future__ import annotations

from math import prod

from tinycompile.dtypes import INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Sequel, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.master_weights import NOTES, MasterWeights
from tinycompile.kernels.trained_weights import TrainedFinish, fits_products, layer_fields, products_cost
from tinycompile.kernels.training_layers import geometry_stem
from tinycompile.ops._training.parameters import RoundedWeights
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.targets.core import Core

TOGETHER = 16
"""Output channels whose weights are rounded at a time: windows are expanded for each of these times."""


@cover_for(Sequel(RoundedWeights, TrainedLayer), dtype=INT16, needs={"dsp"})
def master_layer_products(site: Site, core: Core) -> Kernel | None:
    """`tc_master_layer`: three positions times two output channels in registers."""
    first, second = parts_of(site)
    op, sig = second.node.op, second.sig
    if not isinstance(op, TrainedLayer) or second.node.inputs[1] != first.node.outputs[0]:
        return None
    geometry, weights = op.layer.geometry(sig.input, sig.inputs[1]), MasterWeights(first)
    finish = TrainedFinish.of(second, op, geometry) if fits_products(geometry) else None
    if finish is None:
        return None
    size, together = prod(geometry.weights[1:]), min(TOGETHER, geometry.outputs)
    fields: Fields = {
        "layer": layer_fields(geometry, sig.input.zero_point, finish),
        "together": together,
        "trained": weights.trained,
        "others": weights.others,
    }
    block, blocks = f"tc_trained_products_{size}", -(-geometry.outputs // together)
    return Kernel(
        "master_layer_products",
        struct_call(
            f"master_layer_products_{geometry_stem(geometry)}_{weights.trained}",
            "tc_master_layer",
            "tc_master_layer_products.h",
            (
                *("const int16_t *master", "const int8_t *input"),
                *(["const int32_t *bias"] if finish.has_bias else []),
                "int8_t *output",
                *weights.declared,
                *("const int32_t *parameters", "void *scratch"),
            ),
            (Struct("tc_master_layer_shape", fields),),
            "A layer whose weights are trained, rounded a few channels at a time.",
            ("master", weights.argument, "input", finish.bias, "output", "parameters", "scratch", block),
            (f"TC_TRAINED_PRODUCTS({block}, {size})",),
        ),
        (*weights.constants, finish.parameters),
        scratch_bytes=-(-(4 * together + 6 * size + together * size) // 8) * 8,
        instructions=products_cost(geometry, finish.requant, blocks) + blocks * together * (size * 4 + 20),
        code_bytes=1400,
        notes={"requantisation": finish.plan.form, **NOTES},
    )

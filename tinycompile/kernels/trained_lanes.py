"""The forward pass of convolutions whose weights are trained, by the byte-lane product: each call packs them first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Function, Kernel, kernel_for
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.lane import PRE, Lanes
from tinycompile.kernels.lane_conv2d import Convolution
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.trained_weights import TrainedFinish
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

HEADER = "kernels/tc_trained_lanes.h"
PACKING = 12
"""Instructions for four weights."""

BEHIND = {"weights": "stream", "scratch": "behind"}
"""Arguments of the product's own function, by its parameters."""


@kernel_for(TrainedLayer, needs={"dsp"})
def trained_lanes(site: Site, core: Core) -> Kernel | None:
    """Blocks of any number of inputs and channels."""
    return _kernel(site, core, "trained_lanes")


@kernel_for(TrainedLayer, needs={"dsp"})
def trained_lanes_straight(site: Site, core: Core) -> Kernel | None:
    """The same with block functions that are made for the layer, which take their place in flash."""
    return _kernel(site, core, "trained_lanes_straight", straight=True)


def _kernel(site: Site, core: Core, variant: str, *, straight: bool = False) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, TrainedLayer) or not isinstance(op.layer, Conv2D):
        return None
    if site.constants[1] is not None or sig.inputs[1].dtype != INT8:
        return None
    geometry = op.layer.geometry(sig.input, sig.inputs[1])
    finish = TrainedFinish.of(site, op, geometry, PRE) if geometry.groups == 1 else None
    if finish is None:
        return None
    # the shape alone matters: its weights are known when it runs
    none: Array = np.zeros(sig.inputs[1].shape, np.int8)
    layer = LinearLayer.kept(none, none[:, 0, 0, 0], sig.input.zero_point, op.layer.requant(sig), None)
    plain = replace(site, node=replace(site.node, op=op.layer))
    lanes = Lanes(layer, direct=False, plan=finish.plan, requant=finish.requant)
    made = Convolution.of_lanes(plain, core, lanes, straight=straight)
    return None if made is None else _packing(made.kernel(variant), lanes, finish)


def _packing(inner: Kernel, lanes: Lanes, finish: TrainedFinish) -> Kernel:
    """The kernel behind what packs its weights."""
    own, layer = inner.function, lanes.layer
    if own is None:
        raise ValueError(f"{inner.variant} has no function")
    (low, high), words = finish.added, lanes.record - 1 - lanes.groups
    added = f"{{{layer.channels}, {low}, {high}, {1 << PRE}}}"
    room = -(-8 * -(-layer.channels // 2) * lanes.record // 8) * 8
    arguments = (BEHIND.get(name, name) for name in names_of(own.parameters))
    shape = f"{{{layer.channels}, {layer.taps}, {layer.zp_in}, {words}, {added}}}"
    text = (
        f"    const tc_trained_lanes_shape shape = {shape};\n"
        "    int32_t *const stream = (int32_t *)scratch;\n"
        f"    int32_t *const behind = tc_trained_lanes(weights, {finish.bias}, parameters, stream, &shape);\n"
        f"    $0({', '.join(arguments)});\n"
    )
    comment = "Weights that are trained are packed for the byte-lane product."
    cost = layer.channels * (40 + PACKING * lanes.groups)
    return replace(
        inner,
        function=Function(
            f"{own.stem}_of_trained", trained_parameters(finish), text, (HEADER,), comment, callees=(own,)
        ),
        constants=(finish.parameters,),
        scratch_bytes=room + inner.scratch_bytes,
        instructions=inner.instructions + cost,
        cycles=None if inner.cycles is None else inner.cycles + cost,
        code_bytes=inner.code_bytes + 250,
        requant=None,
    )


def trained_parameters(finish: TrainedFinish) -> tuple[str, ...]:
    """What a function that packs weights is given."""
    return (
        *("const int8_t *input", "const int8_t *weights"),
        *(["const int32_t *bias"] if finish.has_bias else []),
        *("int8_t *output", "const int32_t *parameters", "void *scratch"),
    )

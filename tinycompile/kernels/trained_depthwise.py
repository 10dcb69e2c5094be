"""The forward pass of depthwise convolutions whose weights are trained: each call packs them in pairs of taps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Function, Kernel, kernel_for
from tinycompile.kernels.depthwise_pairs import LARGEST_SHIFT, SHIFTS, pairs_of_taps
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.trained_lanes import BEHIND, trained_parameters
from tinycompile.kernels.trained_weights import TrainedFinish
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

HEADER = "kernels/tc_trained_depthwise.h"
PACKING = 9
"""Instructions for a weight."""


@kernel_for(TrainedLayer, needs={"dsp"})
def trained_depthwise(site: Site, core: Core) -> Kernel | None:
    """Depth multiplier 1."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, TrainedLayer) or not isinstance(op.layer, DepthwiseConv2D):
        return None
    if site.constants[1] is not None or sig.inputs[1].dtype != INT8 or sig.input.shape[3] != sig.output.shape[3]:
        return None
    finish = _finish(site, op)
    if finish is None:
        return None
    height, width, channels = sig.inputs[1].shape[1:]
    # the shape alone matters: its weights are known when it runs
    none: Array = np.zeros((channels, height, width, 1), np.int8)
    layer = LinearLayer.kept(none, none[:, 0, 0, 0], sig.input.zero_point, op.layer.requant(sig), None)
    return _packing(pairs_of_taps(sig, op.layer, layer, finish.plan), layer, finish)


def _finish(site: Site, op: TrainedLayer) -> TrainedFinish | None:
    """With the largest factor for which there is one."""
    geometry = op.layer.geometry(*site.sig.inputs[:2])
    for pre in SHIFTS:
        found = TrainedFinish.of(site, op, geometry, pre)
        if found is not None and 1 <= int(found.plan.shift[0]) <= LARGEST_SHIFT:
            return found
    return None


def _packing(inner: Kernel, layer: LinearLayer, finish: TrainedFinish) -> Kernel:
    """The kernel behind what packs its weights."""
    own, (low, high), factor = inner.function, finish.added, 1 << finish.plan.pre
    if own is None:
        raise ValueError(f"{inner.variant} has no function")
    words = 3 if finish.requant.signed else 2
    added = f"{{{layer.channels}, {low}, {high}, {factor}}}"
    shape = f"{{{layer.channels}, {layer.taps}, {layer.zp_in}, {factor}, {words}, {added}}}"
    arguments = (BEHIND.get(name, name) for name in names_of(own.parameters))
    text = (
        f"    const tc_trained_depthwise_shape shape = {shape};\n"
        "    int32_t *const stream = (int32_t *)scratch;\n"
        f"    int32_t *const behind = tc_trained_depthwise(weights, {finish.bias}, parameters, stream, &shape);\n"
        f"    $0({', '.join(arguments)});\n"
    )
    comment = "Weights that are trained are packed in pairs of taps."
    room = sum(constant.bytes for constant in inner.constants)
    cost = layer.channels * (60 + PACKING * layer.taps)
    parameters = trained_parameters(finish)
    return replace(
        inner,
        variant="trained_depthwise",
        function=Function(f"{own.stem}_of_trained", parameters, text, (HEADER,), comment, callees=(own,)),
        constants=(finish.parameters,),
        scratch_bytes=-(-room // 8) * 8 + inner.scratch_bytes,
        instructions=inner.instructions + cost,
        code_bytes=inner.code_bytes + 250,
        requant=None,
    )

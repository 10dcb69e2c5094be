"""Some output channels of a layer that mixes channels: a layer with fewer weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Node, Signature, Site, TensorType
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.passes.eliminate_channels import cut_quant, cut_rule


def channel_part(site: Site, channels: range) -> Site | None:
    """The layer for these channels of its output, its last axis; None where its weights aren't known, or there is
    no such layer.
    """
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected) or not isinstance(op.rule, StepRequant | TfliteRequant | None):
        return None
    if sig.input.dtype != INT8 or any(value is None for value in site.constants[1:]):
        return None
    index = np.arange(channels.start, channels.stop)
    types, constants = [sig.input], list[Array | None]([None])
    for t, value in zip(sig.inputs[1:], site.constants[1:], strict=True):
        if value is None or (t.quant is not None and t.quant.block is not None):
            return None
        cut = value[channels.start : channels.stop]
        types.append(TensorType(cut.shape, t.dtype, cut_quant(t.quant, index)))
        constants.append(cut)
    output = replace(sig.output, shape=(*sig.output.shape[:-1], len(channels)))
    node = Node(site.node.name, cut_rule(op, index), site.node.inputs, site.node.outputs)
    return Site(node, Signature(tuple(types), (output,)), tuple(constants), site.latitude)

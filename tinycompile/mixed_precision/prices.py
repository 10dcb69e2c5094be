"""What a layer's bits cost on a core: every kernel that the compiler has for the weights that were tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import numpy as np

from tinycompile.ir import Array, Graph, Op, Quantization, Site
from tinycompile.kernels import kernels_of
from tinycompile.mixed_precision.choice import Alternative, sensible, useful
from tinycompile.mixed_precision.fitting import LowBits
from tinycompile.mixed_precision.network import Layer, Network, weight_axis
from tinycompile.mixed_precision.sensitivity import Trial
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.targets.core import Core


def alternatives(network: Network, trials: Sequence[Trial], core: Core) -> dict[str, list[Alternative]]:
    """Of every layer that was tried: its own 8 bits, and each number of bits, with all kernels worth choosing from."""
    found = dict[str, list[Alternative]]()
    for trial in trials:
        layer = network.layers[trial.layer]
        if trial.layer not in found:
            found[trial.layer] = [*_priced(network.graph.site(layer.node), core, 8, 0.0)]
        site = site_with(network.graph, layer, trial.tried)
        found[trial.layer].extend(_priced(site, core, trial.bits, trial.noise))
    return {name: useful(sensible(each)) for name, each in found.items()}


def _priced(site: Site, core: Core, bits: int, loss: float) -> list[Alternative]:
    return [
        Alternative(bits, loss, kernel.constant_bytes, kernel.instructions, kernel.variant)
        for kernel in kernels_of(site, core)
    ]


def site_with(graph: Graph, layer: Layer, given: LowBits) -> Site:
    """The layer with other weights."""
    site = graph.site(layer.node)
    axis = weight_axis(layer.node.op)
    weights = as_stored(layer, given.codes)
    quant = Quantization(given.scales, np.zeros(given.scales.size, np.int64), axis)
    types = (site.sig.input, replace(site.sig.inputs[1], quant=quant), *site.sig.inputs[2:])
    constants = (site.constants[0], weights, *([] if given.bias is None else [given.bias]))
    sig, op = replace(site.sig, inputs=types), layer.node.op
    return replace(site, node=replace(site.node, op=_with_rule(op, layer, given)), sig=sig, constants=constants)


def as_stored(layer: Layer, codes: Array) -> Array:
    """Codes (outputs, products) in the shape and order of the layer's weights."""
    shape, axis = layer.sig.inputs[1].shape, weight_axis(layer.node.op)
    others = [size for index, size in enumerate(shape) if index != axis]
    return np.ascontiguousarray(np.moveaxis(codes.reshape(layer.outputs, *others), 0, axis))


def _with_rule(op: Op, layer: Layer, given: LowBits) -> Op:
    """ONNX's rule follows from the scales."""
    rule = getattr(op, "rule", None)
    if not isinstance(rule, StepRequant):
        return op
    slopes = given.scales.astype(np.float64) * layer.sig.input.scale / layer.sig.output.scale
    product, nothing = list(map(Fraction, slopes.tolist())), [Fraction(0)] * slopes.size
    made = exact_requant(product, nothing, Fraction(1), rule.zero_point, rule.low, rule.high, rule.even_zero_point)
    return cast(Op, replace(cast(Any, op), rule=made))

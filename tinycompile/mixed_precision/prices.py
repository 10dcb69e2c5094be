"""What a layer's bits cost on a core: every kernel that the compiler has for such weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import numpy as np

from tinycompile.ir import Array, Graph, Op, Quantization, Site
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.mixed_precision.choice import Alternative, sensible, useful
from tinycompile.mixed_precision.fitting import LowBits, rounded_bias, rows_of
from tinycompile.mixed_precision.network import Layer, Network, weight_axis
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.quantize.low_bits import fit_weights
from tinycompile.targets.core import Core


def alternatives(
    network: Network, layers: Sequence[str], widths: Sequence[int], core: Core, *, with_code: bool = False
) -> dict[str, list[Alternative]]:
    """Of every layer: its own 8 bits and fewer, with all kernels worth choosing from; what they lose isn't known yet.

    Args:
        with_code: kernels' code counts as their constants do.
    """
    found = dict[str, list[Alternative]]()
    for name in layers:
        layer = network.layers[name]
        each = priced(network.graph.site(layer.node), core, 8)
        for bits in widths:
            each.extend(priced(site_with(network.graph, layer, nearest(layer, bits)), core, bits))
        found[name] = sensible(each, with_code=with_code)
    return found


def with_losses(
    alternatives: Mapping[str, Sequence[Alternative]], noises: Mapping[tuple[str, int], float], *, with_code: bool
) -> dict[str, list[Alternative]]:
    """The same with what they lose; without those that are then no use.

    Args:
        noises: by layer and bits; 8 bits lose nothing.
    """
    return {
        name: useful([replace(a, loss=noises.get((name, a.bits), 0.0)) for a in each], with_code=with_code)
        for name, each in alternatives.items()
    }


def nearest(layer: Layer, bits: int) -> LowBits:
    """Weights to ask for prices with."""
    found = fit_weights(rows_of(layer), None, bits, method="nearest")
    scales = found.scales.reshape(layer.outputs)
    steps = scales.astype(np.float64) * layer.sig.input.scale
    bias = rounded_bias(layer.own.bias / steps) if layer.has_bias else None
    return LowBits(bits, found.codes.reshape(layer.outputs, -1), scales, bias, found.noise)


def priced(site: Site, core: Core, bits: int) -> list[Alternative]:
    """All kernels for a layer; what its bits lose isn't known yet."""
    return [
        Alternative(
            bits,
            0.0,
            kernel.constant_bytes,
            kernel.instructions,
            kernel.variant,
            _function(kernel),
            kernel.code_bytes,
        )
        for kernel in kernels_of(site, core)
    ]


def _function(kernel: Kernel) -> str:
    """Kernels of one name may have functions of different sizes, by how their loops are written."""
    return f"{kernel.function.stem} {kernel.variant} {kernel.code_bytes}" if kernel.function is not None else ""


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

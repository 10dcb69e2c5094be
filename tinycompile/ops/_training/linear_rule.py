"""The gradient rule of layers with weights: convolutions and fully connected layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Node
from tinycompile.numerics.block_floating import common_factors
from tinycompile.numerics.requant import Requant
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.rule import NoGradientError, Parameter, Tape, passed_through, slopes
from tinycompile.ops._training.weight_gradient import BiasGradient, WeightGradient


def linear_vjp(
    tape: Tape,
    node: Node,
    gradient: Gradient,
    geometry: LinearGeometry,
    clamp: tuple[int, int],
    axis: int,
    rule: Requant | None,
) -> None:
    """Gradients of input, weights and bias.

    Args:
        clamp: of the output. axis: the weights' with the output channels. rule: the layer's own, from sums to outputs;
            None where it follows from the scales.
    """
    sig = tape.signature(node)
    quant = sig.inputs[1].quant
    if sig.input.dtype != INT8 or sig.inputs[1].dtype != INT8 or quant is None or quant.zero_point.any():
        raise NoGradientError("its inputs or weights aren't int8 with the weights' zero point 0")
    scales = quant.scale.astype(np.float64) if rule is None else slopes(sig, rule)
    gradient = passed_through(tape, node, gradient, clamp)
    x, weights, *bias = node.inputs
    if (trained := tape.parameter(weights)) is not None:
        units = sig.input.scale / scales
        _descend_weights(tape, node, gradient, geometry, trained, (units, axis))
    if bias and (trained := tape.parameter(bias[0])) is not None:
        units = 1 / (sig.input.scale * scales)
        sums = Gradient(*tape.emit(BiasGradient(), *gradient, meaning="bias_gradient"))
        tape.descend(trained, sums, units, 0 if units.size > 1 else None)
    if tape.wants(x):
        mantissas, exponent = common_factors(scales)
        op = InputGradient(geometry, sig.input.shape, exponent)
        operands = (*gradient, tape.weights(weights), tape.constant(mantissas, "weight_scales"))
        tape.add(x, Gradient(*tape.emit(op, *operands, meaning="input_gradient")))


def _descend_weights(
    tape: Tape,
    node: Node,
    gradient: Gradient,
    geometry: LinearGeometry,
    trained: Parameter,
    units: tuple[Array, int],
) -> None:
    """The step of a layer's weights, or of those of its first input channels."""
    x, (scale, axis), channels = node.inputs[0], units, trained.channels
    if channels is not None:
        rows, columns, values = *geometry.image[:2], gradient.values
        read = channels * geometry.image[2] // geometry.outputs if geometry.depthwise else channels
        x = tape.selected(x, read)
        if geometry.depthwise:
            values = tape.selected(values, channels)
            scale = scale[:channels] if scale.size > 1 else scale
        weights = (*geometry.weights[:-1], channels)
        geometry = replace(geometry, image=(rows, columns, read), weights=weights)
        gradient = Gradient(values, gradient.exponent)
    sums = Gradient(*tape.emit(WeightGradient(geometry), *gradient, x, meaning="weight_gradient"))
    tape.descend(trained, sums, scale, axis if scale.size > 1 else None)

"""Gradients of convolutions and fully connected layers by pairs of 16-bit products, on cores with the DSP extension."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, positions_fields, struct_call
from tinycompile.kernels.training_layers import geometry_stem
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.ops._spatial import Window
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.targets.core import Core

LONGEST_PITCH = 2047
"""Bytes between rows that a block function reads at immediates."""


def is_pointwise(geometry: LinearGeometry) -> bool:
    """Whether each output position reads the pixel at its own place alone: a matrix times all positions."""
    window = geometry.window
    once = window.kernel == (1, 1) and window.stride == (1, 1) and not any(window.padding)
    return once and geometry.groups == 1 and not geometry.depthwise


def as_row(geometry: LinearGeometry) -> LinearGeometry:
    """A pointwise layer with all of its positions in one row."""
    rows, columns, channels = geometry.image
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
    return replace(geometry, window=window, image=(1, rows * columns, channels))


def paired_rows(weights: Array) -> Array:
    """What `tc_add_paired_products` wants of int8 rows (K, depth), K even and depth a multiple of 4.

    Of every four bytes and pair of rows (row 0: 0, 1; row 1: 0, 1), then (row 0: 2, 3; row 1: 2, 3).
    """
    rows, depth = weights.shape
    return weights.reshape(rows // 2, 2, depth // 4, 2, 2).transpose(2, 0, 3, 1, 4).ravel()


def _paired_weights(geometry: LinearGeometry, weights: Array) -> Array:
    """Of each tap of a layer's window."""
    outputs, depth = geometry.outputs, geometry.image[2]
    taps = weights.reshape(outputs, -1, depth)
    filled = np.pad(taps, ((0, outputs % 2), (0, 0), (0, -depth % 4)))
    return np.concatenate([paired_rows(filled[:, tap]) for tap in range(taps.shape[1])])


@kernel_for(InputGradient, dtype=None, needs={"dsp"})
def input_gradient_products(site: Site, core: Core) -> Kernel | None:
    """`tc_input_gradient_products`: two positions times four input channels in registers."""
    op = site.node.op
    if not isinstance(op, InputGradient) or op.geometry.depthwise or op.geometry.groups != 1:
        return None
    geometry = as_row(op.geometry) if is_pointwise(op.geometry) else op.geometry
    weights, (rows, columns, channels) = site.constants[2], geometry.image
    known, depth, outputs = weights is not None, -(-channels // 4) * 4, geometry.outputs
    if not known and not (is_pointwise(op.geometry) and _fits_rows(geometry)):
        return None
    block = f"tc_row_products_{channels}"
    fields: Fields = {
        "window": positions_fields(geometry.window, (rows, columns), geometry.positions),
        "input_channels": channels,
        "output_channels": outputs,
        "shift": 2 * MANTISSA_BITS - op.bits,
        "exponent_change": op.exponent_change,
        "paired": int(known),
    }
    size = prod(geometry.window.kernel) * (outputs + outputs % 2) * depth
    constants = [Constant("mantissas", "int16_t", np.resize(site.constant(3), outputs), "of the weights' scales")]
    if weights is not None:
        packed = Deferred(size, np.int8, lambda: _paired_weights(geometry, weights))
        constants.insert(0, Constant("weights", "int8_t", packed, "int8, not trained: pairs of rows"))
    parameters = ["const int16_t *gradient", "const int32_t *exponent", "int16_t *output", "int32_t *output_exponent"]
    parameters.insert(4 if known else 2, "const int8_t *weights")
    return Kernel(
        "input_gradient_products",
        struct_call(
            f"input_gradient_products_{geometry_stem(geometry)}{'_fixed' if known else ''}",
            "tc_input_gradient_products",
            "tc_input_products.h",
            (*parameters, "const int16_t *mantissas", "void *scratch"),
            (Struct("tc_input_products_shape", fields),),
            "The gradient of a layer's input: two positions times four channels in registers.",
            (
                *("gradient", "exponent", "weights", "output", "output_exponent", "mantissas", "scratch"),
                "tc_add_paired_products" if known else block,
            ),
            () if known else (f"TC_ROW_PRODUCTS({block}, {channels})",),
        ),
        tuple(constants),
        scratch_bytes=-(-4 * (rows * columns * depth + depth + outputs + outputs % 2) // 8) * 8,
        instructions=_input_gradient_cost(geometry, known=known),
        code_bytes=900 if known else 1300,
    )


def _fits_rows(geometry: LinearGeometry) -> bool:
    """Whether a layer's own weights are rows that `TC_ROW_PRODUCTS` reads: in pairs, four bytes at a time."""
    depth = geometry.image[2]
    return geometry.outputs % 2 == 0 and depth % 4 == 0 and depth <= LONGEST_PITCH


def _input_gradient_cost(geometry: LinearGeometry, *, known: bool) -> int:
    """Counted from the assembly."""
    (rows, columns, channels), (out_rows, out_columns) = geometry.image, geometry.positions
    pairs, quads, taps = -(-geometry.outputs // 2), -(-channels // 4), prod(geometry.window.kernel)
    positions = out_rows * -(-out_columns // 2)
    block = quads * (pairs * (15 if known else 20) + pairs // 4 * 3 + 20) + 60
    return positions * (taps * block + pairs * 16 + 30) + rows * columns * channels * 12 + 100

"""Gradients of layers whose windows are larger than a position, by the products of pointwise ones.

Windows are written one behind the other in scratch, as if they were the inputs of positions; weights in RAM are put in
pairs of output channels before each call, as constant ones are when a model is compiled.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tinycompile.dtypes import INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Kernel, kernel_for
from tinycompile.kernels.cover import Sequel, cover_for, parts_of
from tinycompile.kernels.generic_c import Struct, positions_fields, struct_call
from tinycompile.kernels.training_layers import geometry_stem
from tinycompile.kernels.training_products import InputProducts, input_products, is_pointwise, row_update
from tinycompile.ops._spatial import Window
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.parameters import GradientDescent
from tinycompile.ops._training.weight_gradient import WeightGradient
from tinycompile.targets.core import Core

HEADER = "tc_gathered_windows.h"


@cover_for(Sequel(WeightGradient, GradientDescent), dtype=INT16, needs={"dsp"})
def weight_update_windows(site: Site, core: Core) -> Kernel | None:
    """`tc_weight_update_products` of gathered windows."""
    first, _ = parts_of(site)
    op = first.node.op
    if not isinstance(op, WeightGradient) or op.geometry.depthwise or op.geometry.groups != 1:
        return None
    geometry = op.geometry
    if is_pointwise(geometry):
        return None
    size, positions, taps = prod(geometry.weights[1:]), prod(geometry.positions), prod(geometry.window.kernel)
    pointwise = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
    weights = (geometry.outputs, 1, 1, size)
    row = replace(geometry, window=pointwise, image=(1, positions, size), weights=weights)
    inner = row_update(site, row)
    if inner is None or inner.function is None:
        return None
    zero_point = first.sig.inputs[2].zero_point
    fields = {
        "window": positions_fields(geometry.window, geometry.image[:2], geometry.positions),
        "channels": geometry.image[2],
        "zero_point": zero_point,
    }
    stem, shape = geometry_stem(geometry), (Struct("tc_gathered_windows_shape", fields),)
    parameters = ("const int8_t *input", "int8_t *windows")
    comment = "Windows one behind the other."
    gather = struct_call(f"gather_windows_{stem}", "tc_gather_windows", HEADER, parameters, shape, comment)
    room = -(-positions * size // 8) * 8
    text = (
        "    int8_t *const windows = (int8_t *)scratch;\n"
        "    $1(input, windows);\n"
        f"    $0(gradient, exponent, windows, parameter, rate, output, units, windows + {room});\n"
    )
    comment = "The gradient of a layer's weights, and their step of descent, of windows one behind the other."
    own = inner.function
    function = Function(f"weight_update_windows_{stem}", own.parameters, text, (), comment, callees=(own, gather))
    return replace(
        inner,
        variant="weight_update_windows",
        function=function,
        scratch_bytes=room + inner.scratch_bytes,
        instructions=inner.instructions + positions * taps * (45 + geometry.image[2] // 2),
        code_bytes=inner.code_bytes + 200,
    )


@kernel_for(InputGradient, dtype=None, needs={"dsp"})
def input_gradient_packed(site: Site, core: Core) -> Kernel | None:
    """`tc_input_gradient_products` of weights that are put in pairs first."""
    op = site.node.op
    if not isinstance(op, InputGradient) or op.geometry.depthwise or op.geometry.groups != 1:
        return None
    if site.constants[2] is not None or InputProducts.of(site) is not None:
        return None
    geometry = op.geometry
    inner = input_products(InputProducts(site, op, geometry, None))
    if inner.function is None:
        return None
    taps, channels, outputs = prod(geometry.window.kernel), geometry.image[2], geometry.outputs
    words = taps * -(-channels // 4) * -(-outputs // 2) * 2
    room, stem = 4 * (words + words % 2), geometry_stem(geometry)
    shape = f"{{{outputs}, {taps}, {channels}}}"
    text = (
        f"    const tc_paired_weights_shape shape = {shape};\n"
        "    uint32_t *const pairs = (uint32_t *)scratch;\n"
        "    tc_pair_weights(weights, pairs, &shape);\n"
        "    $0(gradient, exponent, output, output_exponent, (const int8_t *)pairs, mantissas,\n"
        f"       pairs + {room // 4});\n"
    )
    parameters = (
        *("const int16_t *gradient", "const int32_t *exponent", "const int8_t *weights", "int16_t *output"),
        *("int32_t *output_exponent", "const int16_t *mantissas", "void *scratch"),
    )
    comment = "The gradient of a layer's input: weights in RAM are put in pairs for its products."
    own, header = inner.function, f"kernels/{HEADER}"
    return replace(
        inner,
        variant="input_gradient_packed",
        function=Function(f"input_gradient_packed_{stem}", parameters, text, (header,), comment, callees=(own,)),
        scratch_bytes=room + inner.scratch_bytes,
        instructions=inner.instructions + words * 7 + 100,
        code_bytes=inner.code_bytes + 150,
    )

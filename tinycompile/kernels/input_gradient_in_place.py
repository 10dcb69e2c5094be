"""The gradient of a layer's input in the memory of that of its output, in portable C."""

from __future__ import annotations

from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.training_layers import geometry_fields, geometry_stem, on
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.targets.core import Core


@kernel_for(InputGradient, dtype=None)
def input_gradient_in_place(site: Site, core: Core) -> Kernel | None:
    """`tc_input_gradient_in_place`: for layers whose outputs have the shape of their inputs."""
    op = site.node.op
    if not isinstance(op, InputGradient):
        return None
    geometry, window = op.geometry, op.geometry.window
    if window.stride != (1, 1) or (*geometry.positions, geometry.outputs) != geometry.image or geometry.image[0] == 1:
        return None
    mantissas, weights = site.constant(3), site.constants[2]
    kept, row = max(0, window.extent[0] - 1 - window.padding[0]), prod(geometry.image[1:])
    shift, one = 2 * MANTISSA_BITS - op.bits, mantissas.size == 1
    layer = geometry_fields(geometry, shift=shift, change=op.exponent_change, one_scale=one)
    parameters = ["const int16_t *gradient", "const int32_t *exponent", "int16_t *output", "int32_t *output_exponent"]
    parameters.insert(2 if weights is None else 4, "const int8_t *weights")
    constant = () if weights is None else (Constant("weights", "int8_t", weights.ravel(), "int8, not trained"),)
    scaling = geometry.image[0] * row * 8 * window.kernel[0]
    return Kernel(
        "input_gradient_in_place",
        struct_call(
            f"input_gradient_in_place_{geometry_stem(geometry)}{'' if weights is None else '_fixed'}",
            "tc_input_gradient_in_place",
            "tc_input_gradient_in_place.h",
            (*parameters, "const int16_t *mantissas", "void *scratch"),
            (Struct("tc_in_place_shape", {"layer": layer, "kept": kept}),),
            "The gradient of a layer's input, row by row in the place of that of its output.",
            ("gradient", "exponent", "weights", "output", "output_exponent", "mantissas", "scratch"),
        ),
        (*constant, Constant("mantissas", "int16_t", mantissas.ravel(), "of the weights' scales")),
        scratch_bytes=-(-(4 * row + 2 * kept * row + 2 * geometry.outputs) // 8) * 8,
        in_place=True,
        instructions=on(core, 2 * (geometry.macs * 6 + prod(geometry.image) * 8 + scaling)),
        code_bytes=700,
        notes={"reason": "one tensor in memory, and not two"},
    )

"""Training of convolutions and fully connected layers, in portable C."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for, structured
from tinycompile.kernels.cover import Sequel, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, positions_fields, struct_call
from tinycompile.kernels.generic_finish import finish_of
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.parameters import GradientDescent, RoundedWeights
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.ops._training.weight_gradient import BiasGradient, WeightGradient
from tinycompile.targets.core import Core

HEADER = "tc_layer_gradients.h"
PORTABLE = {"reason": "portable C that handles every shape"}
NO_RANGE = {"zero_point": 0, "low": 0, "high": 0}


def on(core: Core, instructions: int) -> int:
    """Thumb-1 takes about three times as many."""
    return instructions if core.has("multiply_accumulate") else 3 * instructions


def geometry_fields(
    geometry: LinearGeometry,
    zero_point: int = 0,
    range_: Fields = NO_RANGE,
    shift: int = 0,
    change: int = 0,
    *,
    one_scale: bool = False,
    bias_limit: int = 0,
) -> Fields:
    """Members of a `tc_layer_geometry`."""
    image = geometry.image[:2]
    return {
        "window": positions_fields(geometry.window, image, geometry.window.output_size(*image)),
        "input_channels": geometry.image[2],
        "output_channels": geometry.outputs,
        "groups": geometry.groups,
        "depthwise": int(geometry.depthwise),
        "input_zero_point": zero_point,
        "range": range_,
        "shift": shift,
        "exponent_change": change,
        "one_scale": int(one_scale),
        "bias_limit": bias_limit,
    }


def geometry_stem(geometry: LinearGeometry) -> str:
    """For a function's name."""
    kernel, image = "x".join(map(str, geometry.window.kernel)), "x".join(map(str, geometry.image))
    return f"{kernel}_{image}_{geometry.outputs}"


@kernel_for(TrainedLayer)
def trained_layer(site: Site, core: Core) -> Kernel | None:
    """`tc_trained_convolution`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, TrainedLayer):
        return None
    layer, channels = op.layer, sig.output.shape[-1]
    geometry = layer.geometry(sig.input, sig.inputs[1])
    reach = np.full(channels, op.terms(sig) * 255 * 128 + op.bias_limit, np.int64)
    finish = finish_of(site, layer.requant(sig), np.zeros(channels, np.int64), layer.clamp, (-reach, reach))
    fields = geometry_fields(geometry, sig.input.zero_point, finish.range, bias_limit=op.bias_limit)
    names = ("input", "weights", "bias")[: len(sig.inputs)]
    declared = {name: f"const {t.dtype.ctype} *{name}" for name, t in zip(names, sig.inputs, strict=True)}
    known = {name: value for name, value in zip(names, site.constants, strict=True) if value is not None}
    dynamic = tuple(text for name, text in declared.items() if name not in known)
    parameters = (*dynamic, "int8_t *output", *(declared[name] for name in known), f"const {finish.ctype} *channels")
    return Kernel(
        "trained_layer_portable",
        struct_call(
            f"trained_{layer.kind}_{geometry_stem(geometry)}_{'_'.join(known) or 'all'}",
            "tc_trained_convolution",
            HEADER,
            parameters,
            (Struct("tc_layer_geometry", fields),),
            "A layer whose weights or bias are trained.",
            ("input", "weights", "bias" if "bias" in names else "NULL", "output", "channels", finish.function),
        ),
        (
            *(Constant(name, f"{v.dtype.name}_t", v.ravel(), f"{name}, not trained") for name, v in known.items()),
            finish.constant,
        ),
        instructions=on(core, sig.output.elements * (20 + finish.instructions) + op.macs(sig) * 6),
        code_bytes=500,
        notes={"requantisation": finish.form, **PORTABLE},
    )


@kernel_for(InputGradient, dtype=None)
def input_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_input_gradient`: sums of the whole input are in scratch."""
    op = site.node.op
    if not isinstance(op, InputGradient):
        return None
    scaling = op.geometry.outputs * op.geometry.terms_of_weight * 8
    cost = on(core, op.geometry.macs * 6 + prod(op.geometry.image) * 16 + scaling)
    return _input_gradient(site, op, "input_gradient", prod(op.geometry.image), cost)


@kernel_for(InputGradient, dtype=None)
def input_gradient_by_rows(site: Site, core: Core) -> Kernel | None:
    """`tc_input_gradient_by_rows`: sums of a row are, and all is computed twice."""
    op = site.node.op
    if not isinstance(op, InputGradient) or op.geometry.image[0] == 1:
        return None
    geometry = op.geometry
    scaling = geometry.outputs * geometry.terms_of_weight * 8 * geometry.window.kernel[0]
    cost = on(core, 2 * (geometry.macs * 6 + prod(geometry.image) * 8 + scaling))
    return _input_gradient(site, op, "input_gradient_by_rows", prod(geometry.image[1:]), cost)


def _input_gradient(site: Site, op: InputGradient, name: str, sums: int, cost: int) -> Kernel:
    """`sums`: how many are in scratch."""
    geometry, mantissas, weights = op.geometry, site.constant(3), site.constants[2]
    parameters = ["const int16_t *gradient", "const int32_t *exponent", "int16_t *output", "int32_t *output_exponent"]
    parameters.insert(2 if weights is None else 4, "const int8_t *weights")
    shift, one = 2 * MANTISSA_BITS - op.bits, mantissas.size == 1
    fields = geometry_fields(geometry, shift=shift, change=op.exponent_change, one_scale=one)
    constant = () if weights is None else (Constant("weights", "int8_t", weights.ravel(), "int8, not trained"),)
    return Kernel(
        name,
        struct_call(
            f"{name}_{geometry_stem(geometry)}{'' if weights is None else '_fixed'}",
            f"tc_{name}",
            HEADER,
            (*parameters, "const int16_t *mantissas", "void *scratch"),
            (Struct("tc_layer_geometry", fields),),
            "The gradient of a layer's input: a product with the transposed weights.",
            ("gradient", "exponent", "weights", "output", "output_exponent", "mantissas", "scratch"),
        ),
        (*constant, Constant("mantissas", "int16_t", mantissas.ravel(), "of the weights' scales")),
        scratch_bytes=-(-(4 * sums + 2 * geometry.outputs) // 8) * 8,
        instructions=cost,
        code_bytes=500,
        notes=PORTABLE,
    )


@kernel_for(WeightGradient, dtype=None)
def weight_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_weight_gradient`."""
    op = site.node.op
    if not isinstance(op, WeightGradient):
        return None
    geometry, change = op.geometry, op.exponent_change
    fields = geometry_fields(geometry, site.sig.inputs[2].zero_point, shift=change, change=change)
    return Kernel(
        "weight_gradient_portable",
        struct_call(
            f"weight_gradient_{geometry_stem(geometry)}",
            "tc_weight_gradient",
            HEADER,
            (
                "const int16_t *gradient",
                "const int32_t *exponent",
                "const int8_t *input",
                "int32_t *sums",
                "int32_t *sums_exponent",
            ),
            (Struct("tc_layer_geometry", fields),),
            "The gradient of a layer's weights: sums over all positions.",
        ),
        instructions=on(core, geometry.macs * 7 + prod(geometry.weights) * 3),
        code_bytes=400,
        notes=PORTABLE,
    )


@kernel_for(BiasGradient, dtype=None)
def bias_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_bias_gradient`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BiasGradient):
        return None
    channels = sig.input.shape[-1]
    positions, shift = sig.input.elements // channels, MANTISSA_BITS - op.bits(sig)
    return Kernel(
        "bias_gradient_portable",
        struct_call(
            f"bias_gradient_{positions}x{channels}",
            "tc_bias_gradient",
            HEADER,
            ("const int16_t *gradient", "const int32_t *exponent", "int32_t *sums", "int32_t *sums_exponent"),
            (Struct("tc_bias_gradient_shape", {"positions": positions, "channels": channels, "shift": shift}),),
            "The gradient of a layer's bias: sums over all positions.",
        ),
        instructions=on(core, sig.input.elements * (2 if core.has("dsp") else 5) + channels * 6),
        code_bytes=100,
        notes=PORTABLE,
    )


@kernel_for(RoundedWeights, dtype=None)
def rounded_weights(site: Site, core: Core) -> Kernel | None:
    """`tc_rounded_weights`."""
    sig, others = site.sig, site.constants[1] if len(site.constants) > 1 else None
    rows, trained = prod(sig.input.shape[:-1]), sig.input.shape[-1]
    rest = sig.output.shape[-1] - trained
    parameters = ("const int16_t *master", "int8_t *output", *(("const int8_t *others",) if rest else ()))
    return Kernel(
        "rounded_weights_portable",
        struct_call(
            f"rounded_weights_{rows}x{trained}_{rest}",
            "tc_rounded_weights",
            "tc_descent.h",
            parameters,
            (Struct("tc_rounded_weights_shape", {"rows": rows, "trained": trained, "others": rest}),),
            "Master weights to those of the forward pass.",
            ("master", "output", "others" if rest else "NULL"),
        ),
        () if others is None else (Constant("other_weights", "int8_t", others.ravel(), "int8, not trained"),),
        instructions=on(core, trained * rows * (3 if core.has("dsp") else 5) + rows * (10 + rest)),
        code_bytes=80,
        notes=PORTABLE,
    )


@kernel_for(GradientDescent, dtype=None)
def gradient_descent(site: Site, core: Core) -> Kernel | None:
    """`tc_descend_weights`, `tc_descend_biases`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, GradientDescent):
        return None
    shape, units, ctype = sig.input.shape, site.constant(4), sig.input.dtype.ctype
    channels = 1 if op.axis is None else shape[op.axis]
    outer = 1 if op.axis is None else prod(shape[: op.axis])
    inner = sig.input.elements // (outer * channels)
    name = "biases" if sig.input.dtype.bits == 32 else "weights"
    rows = structured(mantissa=units[:, 0], exponent=units[:, 1])
    return Kernel(
        "gradient_descent_portable",
        struct_call(
            f"descend_{name}_{outer}x{channels}x{inner}",
            f"tc_descend_{name}",
            "tc_descent.h",
            (
                f"const {ctype} *parameter",
                "const int32_t *gradient",
                "const int32_t *exponent",
                "const int32_t *rate",
                f"{ctype} *output",
                "const tc_descent_unit *units",
            ),
            (Struct("tc_descent_shape", {"outer": outer, "channels": channels, "inner": inner}),),
            "A step of gradient descent, in place.",
        ),
        (Constant("units", "tc_descent_unit", rows, "what a unit of the gradient is: mantissa, exponent"),),
        instructions=on(core, sig.input.elements * (10 if core.has("dsp") else 16) + outer * channels * 25),
        code_bytes=160,
        notes=PORTABLE,
    )


@cover_for(Sequel(WeightGradient, GradientDescent), dtype=INT16)
def weight_update(site: Site, core: Core) -> Kernel | None:
    """`tc_weight_update`: the gradient of an output channel's weights is applied as soon as it exists."""
    first, second = parts_of(site)
    gradient, descent = first.node.op, second.node.op
    if not (isinstance(gradient, WeightGradient) and isinstance(descent, GradientDescent)):
        return None
    if second.sig.input.dtype != INT16:  # an accumulator, which has as many bytes as the sums
        return None
    geometry, change, units = gradient.geometry, gradient.exponent_change, second.constant(4)
    layer = geometry_fields(geometry, first.sig.inputs[2].zero_point, shift=change, change=change)
    rows = structured(mantissa=units[:, 0], exponent=units[:, 1])
    size = prod(geometry.weights) // geometry.outputs
    return Kernel(
        "weight_update_portable",
        struct_call(
            f"weight_update_{geometry_stem(geometry)}",
            "tc_weight_update",
            HEADER,
            (
                "const int16_t *gradient",
                "const int32_t *exponent",
                "const int8_t *input",
                "const int16_t *parameter",
                "const int32_t *rate",
                "int16_t *output",
                "const tc_descent_unit *units",
                "void *scratch",
            ),
            (Struct("tc_weight_update_shape", {"layer": layer, "one_unit": int(len(units) == 1)}),),
            "The gradient of a layer's weights, and their step of descent, channel by channel.",
        ),
        (Constant("units", "tc_descent_unit", rows, "what a unit of the gradient is: mantissa, exponent"),),
        scratch_bytes=-(-4 * size // 8) * 8,
        instructions=on(core, geometry.macs * 7 + prod(geometry.weights) * 16),
        code_bytes=600,
        notes=PORTABLE,
    )

"""Layers of float activations and int8 weights: a pass that quantises, products of integers, floats from their sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, safe_distance, structured
from tinycompile.kernels.float_layers import bounds_fields
from tinycompile.kernels.float_ops import IN_OUT
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, weight_constant, window_fields, window_stem
from tinycompile.kernels.transpose_conv import transpose_axes, transpose_conv_stem, transpose_taps
from tinycompile.ops._arithmetic import hybrid
from tinycompile.ops._arithmetic.real import UNBOUNDED
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.targets.core import Core


@dataclass(frozen=True)
class Dot:
    """How a vector is multiplied with four rows of a matrix.

    Attributes:
        name: of the technique. function: a `tc_dot4` of C.
        per_run: instructions around the loop. step: elements that it takes at once, for `per_step` instructions.
    """

    name: str
    function: str
    per_run: int
    step: int
    per_step: int

    def instructions(self, depth: int) -> int:
        return self.per_run + -(-depth // self.step) * self.per_step


PORTABLE = Dot("generic", "tc_dot4_s8", 20, 1, 12)
LANES = Dot("lanes", "tc_hybrid_dot4_lanes", 40, 4, 26)
HELIUM = Dot("mve", "tc_hybrid_dot4_mve", 25, 16, 18)


@kernel_for(Conv2D, DepthwiseConv2D, FullyConnected, TransposeConv, dtype=FLOAT32)
def portable(site: Site, core: Core) -> Kernel | None:
    """Every layer, on every core."""
    return _kernel(site, core, PORTABLE)


@kernel_for(Conv2D, DepthwiseConv2D, FullyConnected, dtype=FLOAT32, needs={"dsp"}, unless={"mve"})
def lanes(site: Site, core: Core) -> Kernel | None:
    """Products by pairs of 16 bits."""
    return _kernel(site, core, LANES)


@kernel_for(Conv2D, DepthwiseConv2D, FullyConnected, dtype=FLOAT32, needs={"mve"})
def helium(site: Site, core: Core) -> Kernel | None:
    """Sixteen products at once."""
    return _kernel(site, core, HELIUM)


def _kernel(site: Site, core: Core, dot: Dot) -> Kernel | None:
    """None for other types, and for scales and biases that C has no literal for."""
    constants = site.constants[1:]
    if not hybrid.is_hybrid(site.sig) or any(value is None or not np.isfinite(value).all() for value in constants):
        return None
    match site.node.op:
        case FullyConnected():
            return _fully_connected(site, site.node.op, core, dot)
        case Conv2D():
            return _conv2d(site, site.node.op, core, dot, groups=site.node.op.groups(site.sig))
        case DepthwiseConv2D() if site.sig.input.shape[3] == 1:
            return _conv2d(site, site.node.op, core, dot, groups=1)
        case DepthwiseConv2D():
            return _depthwise(site, site.node.op, core, dot)
        case TransposeConv():
            return _transpose_conv(site, site.node.op, core)
        case _:
            return None


def _fully_connected(site: Site, op: FullyConnected, core: Core, dot: Dot) -> Kernel:
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    form = _form(op.bounds, asymmetric=op.asymmetric)
    fields = {"rows": rows, "inputs": inputs, "outputs": outputs, "form": form}
    return _with_products(
        site, core, dot, "fully_connected", f"{rows}x{inputs}_{outputs}", fields, (rows, inputs), inputs
    )


def _conv2d(site: Site, op: Convolution, core: Core, dot: Dot, groups: int) -> Kernel:
    """Also of a depthwise convolution of one channel, which is one."""
    sig, window = site.sig, op.window_of(site.sig)
    direct = window.kernel == window.stride == (1, 1) and not any(window.padding) and groups == 1
    fields: Fields = {
        "window": window_fields(window, sig.input, sig.output),
        "batch": sig.input.shape[0],
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
        "groups": groups,
        "direct": int(direct),
        "form": _convolution_form(op, site),
    }
    image = sig.input.elements // sig.input.shape[0]
    taps = sig.inputs[1].elements // sig.output.shape[3]
    patch = 0 if direct else taps
    stem = window_stem(window, sig.input, sig.output)
    rows = sig.input.shape[0], image
    return _with_products(site, core, dot, "conv2d", stem, fields, rows, taps, patch, groups)


def _with_products(
    site: Site,
    core: Core,
    dot: Dot,
    name: str,
    stem: str,
    fields: Fields,
    rows: tuple[int, int],
    taps: int,
    patch: int = 0,
    groups: int = 1,
) -> Kernel:
    """A layer whose sums are products of a vector with rows of a matrix.

    Args:
        rows: how many are quantised, and their elements. taps: products of a sum.
        patch: bytes that are copied for a vector.
    """
    sig = site.sig
    function = _function(site, name, stem, fields, (dot.function,))
    outputs = sig.output.shape[-1] // groups
    each = -(-outputs // 4) * (dot.instructions(taps) + 60) if outputs >= 4 else outputs * (30 + 6 * taps)
    vectors = sig.output.elements // outputs
    work = vectors * (each + (60 + patch // 2 if patch else 10))
    scratch = -(-rows[1] // 4) * 4 + patch
    return _finished(site, core, f"{name}_hybrid_{dot.name}", function, work, rows, scratch)


def _depthwise(site: Site, op: DepthwiseConv2D, core: Core, dot: Dot) -> Kernel | None:
    """Four channels side by side by DSP instructions, which cores with Helium have, too; None where they don't fit."""
    sig, window = site.sig, op.window_of(site.sig)
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "batch": sig.input.shape[0],
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
        "form": _convolution_form(op, site),
    }
    lanes_fit = op.multiplier(sig) == 1 and sig.input.shape[3] % 4 == 0
    if dot != PORTABLE and not lanes_fit:
        return None
    of_image = "tc_hybrid_depthwise_image" + ("" if dot == PORTABLE else "_lanes")
    function = _function(site, "depthwise", window_stem(window, sig.input, sig.output), fields, (of_image,))
    kh, kw = window.kernel
    each = 40 + kh * (10 + kw * 8) if dot == PORTABLE else 20 + kh * (4 + kw * 4)
    work = sig.output.elements * each
    rows = sig.input.shape[0], sig.input.elements // sig.input.shape[0]
    variant = "depthwise_hybrid_generic" if dot == PORTABLE else "depthwise_hybrid_lanes"
    return _finished(site, core, variant, function, work, rows, rows[1])


def _transpose_conv(site: Site, op: TransposeConv, core: Core) -> Kernel:
    sig = site.sig
    fields = {
        **transpose_axes(op, sig),
        "batch": sig.input.shape[0],
        "form": _form(UNBOUNDED, asymmetric=True),
    }
    function = _function(site, "transpose_conv", transpose_conv_stem(op, sig), fields)
    depth, channels = sig.inputs[1].shape[3], sig.output.shape[3]
    taps = sig.input.shape[0] * channels * transpose_taps(op, sig)
    rows = sig.input.shape[0], sig.input.elements // sig.input.shape[0]
    return _finished(
        site, core, "transpose_conv_hybrid", function, sig.output.elements * 45 + taps * (16 + depth * 6), rows, rows[1]
    )


def _form(bounds: tuple[float, float], *, asymmetric: bool, channels_first: bool = False) -> Fields:
    """Members of a `tc_hybrid_form`."""
    return {
        "asymmetric": int(asymmetric),
        "channels_first": int(channels_first),
        "bounds": bounds_fields(bounds),
    }


def _convolution_form(op: Convolution, site: Site) -> Fields:
    first = op.is_scaled_by_channel_first(site.sig)
    return _form(op.bounds, asymmetric=op.is_asymmetric(site.sig), channels_first=first)


def _function(site: Site, name: str, stem: str, fields: Fields, arguments: tuple[str, ...] = ()) -> Function:
    """A call of `tc_hybrid_<name>`."""
    parameters = (*IN_OUT, "const int8_t *weights", "const tc_hybrid_channel *channels", "void *scratch")
    return struct_call(
        f"hybrid_{name}_{stem}",
        f"tc_hybrid_{name}",
        "tc_hybrid_depthwise.h" if name == "depthwise" else "tc_hybrid_layers.h",
        parameters,
        (Struct(f"tc_hybrid_{name}_shape", fields),),
        f"{site.node.op.kind} of floats, quantised here, and int8 weights.",
        ("input", "output", "weights", "channels", "scratch", *arguments),
    )


def _finished(
    site: Site, core: Core, variant: str, function: Function, work: int, rows: tuple[int, int], scratch: int
) -> Kernel:
    """The kernel.

    Args:
        work: instructions after the pass that quantises. rows: as in `_with_products`. scratch: bytes.
    """
    sig, (count, elements) = site.sig, rows
    x, y = FLOAT32.item_bytes * elements, sig.output.bytes // count
    per_element = 20 if core.has("fpu") else 90
    by_output = 0 if core.has("fpu") else sig.output.elements * 150
    slower = 1 if core.has("multiply_accumulate") else 3
    return Kernel(
        variant,
        function,
        (weight_constant(_in_order(site)), Constant("channels", "tc_hybrid_channel", _channels(site), _CHANNELS)),
        scratch_bytes=scratch,
        instructions=50 + slower * work + by_output + count * (120 + elements * per_element),
        code_bytes=900,
        overlap={0: safe_distance(((row + 1) * x, (row + 1) * y) for row in range(count))},
        notes={"reason": "float32 activations, quantised while the model runs", "requantisation": "float32"},
    )


def _in_order(site: Site) -> Array:
    """The weights as the C reads them."""
    weights = site.constant(1)
    one_channel = isinstance(site.node.op, DepthwiseConv2D) and site.sig.input.shape[3] == 1
    return np.ascontiguousarray(np.moveaxis(weights, 3, 0)) if one_channel else weights


_CHANNELS = "scale, bias, sum of the weights of each output channel"


def _channels(site: Site) -> Array:
    op, sig, weights = site.node.op, site.sig, site.constant(1)
    axis = op.weight_axis if isinstance(op, Convolution) else 0
    others = tuple(index for index in range(weights.ndim) if index != axis)
    channels = weights.shape[axis]
    bias = site.constant(2) if len(sig.inputs) > 2 else np.zeros(channels)
    return structured(
        scale=hybrid.weight_scales(sig, axis).astype(np.float32),
        bias=bias.astype(np.float32),
        weight_sum=weights.sum(axis=others, dtype=np.int64).astype(np.int32),
    )

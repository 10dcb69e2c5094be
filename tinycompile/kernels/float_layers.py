"""float32 layers with windows or weights, in plain C: straight from their definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.access import Access
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Signature, Site, TensorType
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_ops import IN_OUT, float_kernel, floats, has_float_constants, per_operation
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import channelwise_distance, rowwise_distance, window_distance
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.targets.core import Core


@kernel_for(Conv2D, dtype=FLOAT32)
def conv2d(site: Site, core: Core) -> Kernel | None:
    """`tc_float_conv2d`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or not has_float_constants(site):
        return None
    fields = {"batch": sig.input.shape[0], "input_channels": sig.input.shape[3]}
    fields |= {"output_channels": sig.output.shape[3], "groups": op.groups(sig), "bounds": bounds_fields(op.bounds)}
    window = op.window_of(sig)
    stem = f"float_conv2d_{window_stem(window, sig.input, sig.output)}"
    fields = {"window": window_fields(window, sig.input, sig.output), **fields}
    return _weighted(site, core, "conv2d", stem, fields, distance_in_bytes(window_distance, op.access(sig, 0), sig))


@kernel_for(DepthwiseConv2D, dtype=FLOAT32)
def depthwise(site: Site, core: Core) -> Kernel | None:
    """`tc_float_depthwise`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or not has_float_constants(site):
        return None
    fields = {"batch": sig.input.shape[0], "input_channels": sig.input.shape[3]}
    fields |= {"output_channels": sig.output.shape[3], "bounds": bounds_fields(op.bounds)}
    window = op.window_of(sig)
    stem = f"float_depthwise_{window_stem(window, sig.input, sig.output)}"
    fields = {"window": window_fields(window, sig.input, sig.output), **fields}
    return _weighted(
        site, core, "depthwise", stem, fields, distance_in_bytes(channelwise_distance, op.access(sig, 0), sig)
    )


@kernel_for(FullyConnected, dtype=FLOAT32)
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """`tc_float_fully_connected`."""
    op = site.node.op
    if not isinstance(op, FullyConnected) or not has_float_constants(site):
        return None
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    fields = {"rows": rows, "inputs": inputs, "outputs": outputs, "bounds": bounds_fields(op.bounds)}
    stem = f"float_fully_connected_{rows}x{inputs}_{outputs}"
    overlap = {0: FLOAT32.item_bytes * rowwise_distance(rows, inputs, outputs)}
    return _weighted(site, core, "fully_connected", stem, fields, overlap)


def bounds_fields(bounds: tuple[float, float]) -> Fields:
    """Members of a `tc_float_bounds`."""
    low, high = (np.float32(bound if np.isfinite(bound) else 0) for bound in bounds)
    return {"below": int(np.isfinite(bounds[0])), "above": int(np.isfinite(bounds[1])), "low": low, "high": high}


def distance_in_bytes(
    distance: Callable[[Access, TensorType, TensorType], int], access: Access, sig: Signature
) -> dict[int, int]:
    """How far the output must stay below the input, which is known of single images."""
    if sig.input.shape[0] != 1:
        return {}
    x, y = (replace(t, dtype=INT8) for t in (sig.input, sig.output))  # a byte is an element
    return {0: FLOAT32.item_bytes * distance(access, x, y)}


def _weighted(site: Site, core: Core, name: str, stem: str, fields: Fields, overlap: dict[int, int]) -> Kernel:
    """`tc_float_<name>` with its weights and perhaps a bias."""
    has_bias = len(site.sig.inputs) > 2
    constants: tuple[Constant, ...] = (floats("weights", site.constant(1)),)
    if has_bias:
        constants += (floats("bias", site.constant(2)),)
    function = struct_call(
        stem,
        f"tc_float_{name}",
        f"tc_float_{name}.h",
        (*IN_OUT, *(f"const float *{constant.suffix}" for constant in constants)),
        (Struct(f"tc_float_{name}_shape", fields),),
        f"{site.node.op.kind} of floats.",
        ("input", "output", "weights", "bias" if has_bias else "NULL"),
    )
    work = site.node.op.macs(site.sig) * (8 + per_operation(core))
    return float_kernel(site, function, work, constants, overlap)


@kernel_for(MaxPool2D, AveragePool2D, dtype=FLOAT32)
def pool2d(site: Site, core: Core) -> Kernel | None:
    """`tc_float_pool2d`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, MaxPool2D | AveragePool2D):
        return None
    counted = op.counted if isinstance(op, AveragePool2D) else (0, 0, 0, 0)
    names = ("count_top", "count_bottom", "count_left", "count_right")
    fields = {
        "window": window_fields(op.slid, sig.input, sig.output),
        "batch": sig.input.shape[0],
        "channels": sig.input.shape[3],
        "average": int(isinstance(op, AveragePool2D)),
        **dict(zip(names, counted, strict=True)),
    }
    function = struct_call(
        f"float_{op.kind}_{window_stem(op.slid, sig.input, sig.output)}",
        "tc_float_pool2d",
        "tc_float_pool2d.h",
        IN_OUT,
        (Struct("tc_float_pool2d_shape", fields),),
        f"{op.kind} of floats.",
    )
    work = sig.output.elements * prod(op.kernel) * (12 + per_operation(core))
    return float_kernel(site, function, work, overlap=distance_in_bytes(channelwise_distance, op.access(sig, 0), sig))

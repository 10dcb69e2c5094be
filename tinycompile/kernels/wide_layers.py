"""Layers with int16 activations and int8 weights, in plain C, four outputs at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinycompile.access import Access
from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Signature, Site, TensorType
from tinycompile.kernels.base import Constant, Kernel, kernel_for, structured
from tinycompile.kernels.batch_matmul import batch_matmul_fields, batch_matmul_stem
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, weight_constant, window_fields, window_stem
from tinycompile.kernels.generic_overlap import channelwise_distance, rowwise_distance, window_distance
from tinycompile.kernels.transpose_conv import rowwise_distance as transpose_distance
from tinycompile.kernels.transpose_conv import transpose_axes, transpose_conv_stem, transpose_taps
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._arithmetic.wide import WideRule
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.targets.core import Core

_NOTES = {"reason": "16-bit activations in plain C", "requantisation": "64-bit product"}
_PER_OUTPUT, _PER_REAL_OUTPUT, _PER_RUN = 40, 70, 15
"""Instructions from a sum to its output, by TFLite's rule and by ONNX's, and around a loop over products, for each of
four outputs.
"""


@kernel_for(Conv2D, dtype=INT16)
def conv2d(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_conv2d`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D):
        return None
    window = op.window_of(sig)
    fields = {"window": window_fields(window, sig.input, sig.output), "input_channels": sig.input.shape[3]}
    fields |= {"output_channels": sig.output.shape[3], "groups": op.groups(sig)}
    overlap = distance_in_bytes(window_distance, op.access(sig, 0), sig)
    stem = f"wide_conv2d_{window_stem(window, sig.input, sig.output)}"
    return _kernel(site, core, "conv2d", stem, fields, op.wide_requant(sig), overlap, 3, runs=window.kernel[0])


@kernel_for(DepthwiseConv2D, dtype=INT16)
def depthwise(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_depthwise`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D):
        return None
    window = op.window_of(sig)
    fields = {"window": window_fields(window, sig.input, sig.output), "input_channels": sig.input.shape[3]}
    fields |= {"output_channels": sig.output.shape[3]}
    overlap = distance_in_bytes(channelwise_distance, op.access(sig, 0), sig)
    stem = f"wide_depthwise_{window_stem(window, sig.input, sig.output)}"
    return _kernel(site, core, "depthwise", stem, fields, op.wide_requant(sig), overlap, 9)


@kernel_for(FullyConnected, dtype=INT16)
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_fully_connected`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected):
        return None
    outputs, inputs = sig.inputs[1].shape
    rows = sig.input.elements // inputs
    fields = {"rows": rows, "inputs": inputs, "outputs": outputs}
    # Up to four outputs are written when a row has been read for them, and the row is read for the next four.
    overlap = {0: INT16.item_bytes * (rowwise_distance(rows, inputs, outputs) + 3)}
    stem = f"wide_fully_connected_{rows}x{inputs}_{outputs}"
    return _kernel(site, core, "fully_connected", stem, fields, op.wide_requant(sig), overlap, 3)


@kernel_for(TransposeConv, dtype=INT16)
def transpose_conv(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_transpose_conv`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, TransposeConv):
        return None
    overlap = {0: INT16.item_bytes * transpose_distance(op, sig)}
    stem = f"wide_transpose_conv_{transpose_conv_stem(op, sig)}"
    rule, fields = op.wide_requant(sig), {**transpose_axes(op, sig), "zero_point": sig.input.zero_point}
    runs = -(-transpose_taps(op, sig) // (op.size[0] * op.size[1]))
    return _kernel(site, core, "transpose_conv", stem, fields, rule, overlap, 3, runs, "tc_wide_transpose_conv.h")


@kernel_for(BatchMatMul, dtype=INT16)
def batch_matmul(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_batch_matmul`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    rule = op.wide_requant(sig)
    (multiplier,), (right,) = (part.tolist() for part in rule.factors)
    shape = batch_matmul_fields(site, op, range_of(rule))
    if shape is None:
        return None
    shape = {**shape, "channel": {"bias": 0, "multiplier": multiplier, "right": right}}
    order = ("batch", "depth", "a", "b", "channel", "range")
    function = struct_call(
        f"wide_{batch_matmul_stem(site, op)}",
        "tc_wide_batch_matmul",
        "tc_wide_batch_matmul.h",
        operand_parameters(site),
        (Struct("tc_wide_batch_matmul_shape", {name: shape[name] for name in order}),),
        "Product of matrices of 16-bit values.",
        ("a", "b", "output"),
    )
    slower = 1 if core.has("multiply_accumulate") else 4
    return Kernel(
        "batch_matmul_wide",
        function,
        operand_constants(site),
        instructions=50 + slower * (op.macs(sig) * 7 + sig.output.elements * 35),
        code_bytes=400,
        notes=_NOTES,
    )


def distance_in_bytes(
    distance: Callable[[Access, TensorType, TensorType], int], access: Access, sig: Signature
) -> dict[int, int]:
    """How far the output must stay below the input."""
    x, y = (replace(t, dtype=INT8) for t in (sig.input, sig.output))  # a byte is an element
    return {0: INT16.item_bytes * distance(access, x, y)}


def _kernel(
    site: Site,
    core: Core,
    name: str,
    stem: str,
    fields: Fields,
    rule: WideRule,
    overlap: dict[int, int],
    per_product: int,
    runs: int = 1,
    header: str = "tc_wide_linear.h",
) -> Kernel | None:
    """`tc_wide_<name>`; None where the weights aren't constants.

    Args:
        per_product: estimated instructions of one. runs: loops over products that an output takes.
        header: that has it.
    """
    if any(constant is None for constant in site.constants[1:]):
        return None
    sig = site.sig
    function = struct_call(
        stem,
        f"tc_wide_{name}",
        header,
        ("const int16_t *input", "int16_t *output", "const int8_t *weights", "const tc_wide_channel *channels"),
        (Struct(f"tc_wide_{name}_shape", {**fields, "range": range_of(rule)}),),
        f"{site.node.op.kind} of 16-bit activations.",
    )
    slower = 1 if core.has("multiply_accumulate") else 3
    finish = _PER_REAL_OUTPUT if isinstance(rule, RealRequant) else _PER_OUTPUT
    work = site.node.op.macs(sig) * per_product + sig.output.elements * (finish + _PER_RUN * runs)
    return Kernel(
        f"{name}_wide",
        function,
        (
            weight_constant(site.constant(1)),
            channel_table(site, rule),
        ),
        instructions=50 + slower * work,
        code_bytes=500,
        overlap=overlap,
        notes=_NOTES,
    )


def range_of(rule: WideRule) -> dict[str, int]:
    """`tc_wide_range`."""
    fields = {"low": rule.low, "high": rule.high, "twice": 0, "fraction": 0, "left": 0, "zero_point": 0}
    if isinstance(rule, RealRequant):
        return {**fields, "fraction": rule.fraction, "left": rule.left, "zero_point": rule.zero_point}
    return {**fields, "twice": int(rule.form == "double")}


def channel_table(site: Site, rule: WideRule) -> Constant:
    """`tc_wide_channel` for each output channel."""
    if isinstance(rule, RealRequant):
        words = (rule.slope >> 32).astype(np.int32), (rule.slope & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        table = structured(bias=rule.offset, multiplier=words[0], right=words[1])
        return Constant("channels", "tc_wide_channel", table, "offset and both words of the factor of each channel")
    bias = site.constant(2).astype(np.int64) if len(site.sig.inputs) > 2 else np.zeros(rule.multiplier.size, np.int64)
    multiplier, right = (rule.multiplier, -rule.shift) if rule.form == "double" else rule.factors
    table = structured(bias=bias, multiplier=multiplier.astype(np.int32), right=right.astype(np.int32))
    return Constant("channels", "tc_wide_channel", table, "bias, multiplier, right shift of each output channel")

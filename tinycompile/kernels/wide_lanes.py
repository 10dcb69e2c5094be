"""Layers with int16 activations and int8 weights by dual products, with the DSP extension (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, log2, prod

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for, safe_distance, structured
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import channelwise_distance
from tinycompile.kernels.wide_layers import distance_in_bytes, range_of
from tinycompile.numerics.fixed_point import INT32_MAX
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._arithmetic.wide import WideRule
from tinycompile.ops._spatial import Window
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

BLOCK = 3
"""TC_WIDE_BLOCK."""
_LARGEST_INPUT = 2**15
_FRACTION, _MOST_FRACTION = 28, 44
"""By ONNX's rule so many bits behind the point are looked at, and so many computed at most."""
_PARAMETERS = (
    "const int16_t *input",
    "int16_t *output",
    "const uint32_t *weights",
    "const tc_wide_finish *channels",
)
_NOTES = {"requantisation": "smmla"}


@dataclass(frozen=True, eq=False)
class Finish:
    """How sums become outputs.

    Attributes:
        channels: `tc_wide_finish`, one per output channel; by ONNX's rule an even number, and as many follow.
        fields: members of a `tc_wide_rounding`.
        instructions: per output.
    """

    channels: Array
    fields: Fields
    instructions: int


def finish_of(rule: WideRule, bias: Array, weights: Array) -> Finish | None:
    """None where a sum may leave 32 bits, or a factor isn't in the range in which the short form is exact.

    Once rounded, (sum * m + 2^(r - 1)) >> r is (hi(sum * m * 2^k) + 2^(s - 1)) >> s for s = r + k - 32: the half is a
    multiple of what the high word drops. Twice rounded it is the form of tc_requant_short.h.

    Args:
        bias: int64 (C,). weights: int64 (C, taps).
    """
    if isinstance(rule, RealRequant):
        return _real_finish(rule, weights)
    twice = rule.form == "double"
    largest = np.abs(bias) + _LARGEST_INPUT * np.abs(weights).sum(axis=1)
    if largest.max(initial=0) > (INT32_MAX // 2 if twice else INT32_MAX):
        return None
    if twice:
        multiplier, right = rule.multiplier.astype(np.int64), -rule.shift.astype(np.int64)
    else:
        factor, whole = rule.factors
        places = 16 if rule.form == "reduced" else 0
        multiplier, right = factor << places, whole + places - 32
    if right.min(initial=1) < 1 or right.max(initial=1) > 30:
        return None
    table = structured(
        start=bias.astype(np.int32),
        multiplier=multiplier.astype(np.int32),
        offset=(1 << (right - 1)).astype(np.int32),
        right=right.astype(np.int32),
    )
    return Finish(
        table,
        _rounding(rule, {"fraction": 0, "drop": 0, "near": 0, "exact": 0}),
        10 + 2 * twice + 4 * (rule.low > -(2**15)),
    )


def _real_finish(rule: RealRequant, weights: Array) -> Finish | None:
    """By ONNX's rule: 64 bits that decide wherever the real number isn't within their error of a tie."""
    largest = _LARGEST_INPUT * np.abs(weights).sum(axis=1)
    slopes = [Fraction(int(s)) * Fraction(2) ** (rule.left - 64 - rule.fraction) for s in rule.slope]
    offsets = [Fraction(int(o), 1 << rule.fraction) + rule.zero_point + Fraction(1, 2) for o in rule.offset]
    reach = max(int(n) * s + abs(o) for n, s, o in zip(largest, slopes, offsets, strict=True))
    computed = min(_MOST_FRACTION, 30 - floor(log2(max(slopes))))
    if largest.max(initial=0) > INT32_MAX or reach >= 2**30 or computed < 1:
        return None
    one, drop = 1 << computed, max(0, computed - _FRACTION)
    # Half a unit of each factor and offset, one that is cut off, and the error of the rule itself.
    near = ceil((int(largest.max(initial=0)) // 2 + 1) / (1 << drop)) + 2
    starts = np.array([round(o * one) for o in offsets], np.int64)
    fast = structured(
        start=np.zeros(starts.size, np.int32),
        multiplier=np.array([min(round(s * one), INT32_MAX) for s in slopes], np.int32),
        offset=_low_word(starts),
        right=(starts >> 32).astype(np.int32),
    )
    exact = structured(
        start=_low_word(rule.offset),
        multiplier=(rule.slope >> 32).astype(np.int32),
        offset=(rule.offset >> 32).astype(np.int32),
        right=_low_word(rule.slope),
    )
    even = [np.append(table, table[-1:]) if table.size % 2 else table for table in (fast, exact)]
    fields = {"fraction": computed - drop, "drop": drop, "near": near, "exact": even[0].size}
    return Finish(np.concatenate(even), _rounding(rule, fields), 17)


def _rounding(rule: WideRule, real: Fields) -> Fields:
    """Members of a `tc_wide_rounding`; `real`: those that ONNX's rule needs."""
    twice = not isinstance(rule, RealRequant) and rule.form == "double"
    return {"twice": int(twice), "low": rule.low, "high": rule.high, **real, "range": range_of(rule)}


def _low_word(values: Array) -> Array:
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


@kernel_for(Conv2D, dtype=INT16, needs={"dsp"})
def conv2d_wide_lanes(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_lanes`; None for groups."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or site.constants[1] is None or op.groups(sig) != 1:
        return None
    window = op.window_of(sig)
    stem = window_stem(window, sig.input, sig.output)
    fields = window_fields(window, sig.input, sig.output)
    return _lanes(site, op.wide_requant(sig), fields, stem, _order(site, op, window))


@kernel_for(FullyConnected, dtype=INT16, needs={"dsp"})
def fully_connected_wide_lanes(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_lanes`, of an image that has a pixel for each row."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected) or site.constants[1] is None:
        return None
    outputs, inputs = sig.inputs[1].shape
    rows = sig.input.elements // inputs
    sizes = {"input_height": 1, "input_width": rows, "output_height": 1, "output_width": rows}
    window = {"kernel_height": 1, "kernel_width": 1, "stride_y": 1, "stride_x": 1, "dilation_y": 1, "dilation_x": 1}
    fields = {**sizes, **window, "padding_top": 0, "padding_left": 0}
    first = np.arange(rows) * inputs
    return _lanes(site, op.wide_requant(sig), fields, f"{rows}x{inputs}_{outputs}", first)


def _order(site: Site, op: Conv2D, window: Window) -> Array:
    """Per pixel in the order of the output the first element of the input that it reads."""
    sig = site.sig
    (_, _, width, depth), (_, rows, columns, _) = sig.input.shape, sig.output.shape
    tops = np.clip(np.arange(rows) * window.stride[0] - window.padding[0], 0, None)
    lefts = np.clip(np.arange(columns) * window.stride[1] - window.padding[2], 0, None)
    return ((tops[:, None] * width + lefts) * depth).ravel()


def _lanes(site: Site, rule: WideRule, window: Mapping[str, int], stem: str, first: Array) -> Kernel | None:
    """`first`: as `_order`."""
    sig, weights = site.sig, site.constant(1).astype(np.int64)
    channels, kernel = sig.output.shape[-1], weights.reshape(weights.shape[0], -1)
    taps, depth = kernel.shape[1], sig.input.shape[-1] if len(sig.inputs[1].shape) > 2 else kernel.shape[1]
    finish = finish_of(rule, _bias(site), kernel)
    if finish is None:
        return None
    groups = -(-taps // 4)
    pixels = sig.output.elements // channels
    block = min(pixels, BLOCK)
    steps = all(window[name] == 1 for name in ("stride_y", "stride_x"))
    gathers = taps != depth or not steps or bool(depth % 4) or any(window[n] for n in ("padding_top", "padding_left"))
    gathers |= (window["output_height"], window["output_width"]) != (window["input_height"], window["input_width"])
    fields = {"window": window, "input_channels": depth, "output_channels": channels, "groups": groups, "block": block}
    shape = Struct("tc_wide_lanes_shape", {**fields, "gathers": int(gathers), "rounding": finish.fields})
    name = "conv2d" if len(sig.inputs[1].shape) > 2 else "fully_connected"
    padded = finish.channels if finish.channels.size % 2 == 0 else np.append(finish.channels, finish.channels[-1:])
    pairs = -(-channels // 2)
    work = pixels * (30 + pairs * (24 + groups * 11 + 2 * finish.instructions) + gathers * (40 + 2 * taps))
    return Kernel(
        f"{name}_wide_lanes",
        struct_call(
            f"wide_lanes_{stem}",
            "tc_wide_lanes",
            "tc_wide_lanes.h",
            (*_PARAMETERS, "void *scratch") if gathers else _PARAMETERS,
            (shape,),
            f"{site.node.op.kind} of 16-bit activations by dual products.",
            ("input", "output", "weights", "channels", "scratch" if gathers else "NULL"),
        ),
        (
            Constant("weights", "uint32_t", lane_words(kernel), "per 2 channels and 4 taps"),
            Constant("channels", "tc_wide_finish", padded, "start, multiplier, offset, right shift"),
        ),
        scratch_bytes=block * 8 * groups if gathers else 0,
        instructions=60 + work,
        code_bytes=700 if gathers else 400,
        overlap={0: INT16.item_bytes * _distance(first, block, channels, gathers, sig.input.elements)},
        notes=_NOTES,
    )


def _distance(first: Array, block: int, channels: int, gathers: bool, elements: int) -> int:
    """Elements by which the output stays below the input: a block of pixels is a step."""
    begins = np.arange(0, first.size, block)
    ends = np.append(begins[1:], first.size)
    later = np.append(np.minimum.accumulate(first[::-1])[::-1], elements)
    pending: list[int] = (later[ends] if gathers else later[begins]).tolist()
    written: list[int] = (ends * channels).tolist()
    return safe_distance(zip(pending, written, strict=True))


def _bias(site: Site) -> Array:
    channels = site.sig.output.shape[-1]
    return site.constant(2).astype(np.int64) if len(site.sig.inputs) > 2 else np.zeros(channels, np.int64)


def lane_words(weights: Array) -> Array:
    """uint32: the weights int64 (C, taps) as `tc_wide_lanes` reads them."""
    channels, taps = weights.shape
    padded = np.pad(weights, ((0, channels % 2), (0, -taps % 4))).astype(np.int8)
    pairs = padded.reshape(-1, 2, padded.shape[1] // 2, 2)
    return np.ascontiguousarray(pairs.transpose(0, 2, 3, 1)).ravel().view("<u4")


@kernel_for(DepthwiseConv2D, dtype=INT16, needs={"dsp"})
def depthwise_wide_planes(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_planes`: depth multiplier 1, an even number of channels."""
    op, sig = site.node.op, site.sig
    channels = sig.output.shape[-1]
    if not isinstance(op, DepthwiseConv2D) or site.constants[1] is None:
        return None
    if sig.input.shape[3] != channels or channels % 2:
        return None
    window = op.window_of(sig)
    kernel = site.constant(1).astype(np.int64).reshape(-1, channels).T
    finish = finish_of(op.wide_requant(sig), _bias(site), kernel)
    if finish is None:
        return None
    taps, pairs = kernel.shape[1], -(-kernel.shape[1] // 2)
    fields = {"window": window_fields(window, sig.input, sig.output), "channels": channels, "pairs": pairs}
    padded = np.pad(kernel, ((0, 0), (0, taps % 2))).astype(np.int16).reshape(channels // 2, 2, pairs, 2)
    words = np.ascontiguousarray(padded.transpose(0, 2, 1, 3)).view("<u4").ravel()
    work = prod(sig.output.shape[1:3]) * (20 + 14 * taps + channels // 2 * (12 + 10 * pairs + 2 * finish.instructions))
    return Kernel(
        "depthwise_wide_planes",
        struct_call(
            f"wide_planes_{window_stem(window, sig.input, sig.output)}",
            "tc_wide_planes",
            "tc_wide_lanes.h",
            (*_PARAMETERS, "void *scratch"),
            (Struct("tc_wide_planes_shape", {**fields, "rounding": finish.fields}),),
            "Depthwise convolution of 16-bit activations, two channels and two taps at a time.",
        ),
        (
            Constant("weights", "uint32_t", words, "per 2 channels and 2 taps"),
            Constant("channels", "tc_wide_finish", finish.channels, "start, multiplier, offset, right shift"),
        ),
        scratch_bytes=_POINTER_BYTES * taps + -(-2 * channels // 8) * 8,
        instructions=60 + work,
        code_bytes=500,
        overlap=distance_in_bytes(channelwise_distance, op.access(sig, 0), sig),
        notes=_NOTES,
    )


_POINTER_BYTES = 8
"""The host's, which runs the same C."""

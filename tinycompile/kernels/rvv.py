"""Linear layers by RISC-V's vectors: up to 32 channels at a time (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, kernel_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for
from tinycompile.kernels.block import is_dense, row_window
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import blocks_distance, window_origins
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights, padding_value
from tinycompile.kernels.vector_requant import VectorRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

CHANNELS = 32
"""Of a chunk, in registers of 128 bits (`TC_RVV_CHANNELS`)."""

PIXELS = 3
"""Summed together."""

FORMS = {"smmla": "TC_RVV_COMMON", "smmla_signed": "TC_RVV_SIGNED", "smmla_shift": "TC_RVV_SHIFTS"}
"""A plan's forms, as the header calls them."""

PARAMETERS = (
    *("const int8_t *input", "int8_t *output", "const int8_t *weights", "const int32_t *constants"),
    "void *scratch",
)

LAYOUT = "starts, multipliers and offsets of all channels{}"


@dataclass(frozen=True, eq=False)
class Vectors:
    """A layer whose channels are elements of vectors.

    Attributes:
        window: members of a `tc_window`. depth: input channels.
    """

    site: Site
    layer: LinearLayer
    requant: VectorRequant
    window: Mapping[str, int]
    depth: int

    @staticmethod
    def of(site: Site, window: Mapping[str, int], depth: int) -> Vectors | None:
        """None where weights can be replaced or aren't bytes, and where no requantisation in vectors is exact."""
        if site.latitude is not None or any(constant is None for constant in site.constants[1:]):
            return None
        if has_wide_weights(site):
            return None
        layer = LinearLayer.of(site)
        requant = VectorRequant.of(layer)
        return None if requant is None else Vectors(site, layer, requant, window, depth)

    def size(self, *names: str) -> int:
        """The product of members of the window."""
        return prod(self.window[name] for name in names)

    @property
    def pixels(self) -> int:
        return self.size("output_height", "output_width")

    @property
    def chunks(self) -> int:
        return -(-self.layer.channels // CHANNELS)

    @property
    def constants(self) -> tuple[Constant, Constant]:
        """Weights by taps, and what the requantisation reads."""
        matrix, plan = self.layer.matrix, self.requant.plan
        rows = [plan.start, plan.multiplier, plan.offset]
        rows += [plan.sign_step] if plan.form == "smmla_signed" else []
        rows += [plan.shift] if plan.form == "smmla_shift" else []
        extra = {"smmla_signed": ", steps", "smmla_shift": ", shifts"}.get(plan.form, "")

        def by_taps() -> Array:
            return np.ascontiguousarray(matrix.T.astype(np.int8)).ravel()

        weights = Constant("weights", "int8_t", Deferred(matrix.size, np.int8, by_taps), "taps, each of all channels")
        values = np.concatenate(rows).astype(np.int32)
        return weights, Constant("constants", "int32_t", values, LAYOUT.format(extra))

    @property
    def fields(self) -> Fields:
        """Members that both shapes have."""
        plan = self.requant.plan
        shift = 0 if plan.form == "smmla_shift" else plan.immediate_shift
        requant = {"form": FORMS[plan.form], "pre": plan.pre, "shift": shift, "low": plan.low, "high": plan.high}
        return {"requant": requant}

    @property
    def finish(self) -> int:
        """Instructions for a chunk of a pixel."""
        return {"smmla": 24, "smmla_signed": 29, "smmla_shift": 26}[self.requant.plan.form]

    @property
    def inside(self) -> int:
        """Pixels whose windows lie in the image."""
        window = self.window
        top, left = window_origins(window)
        down, right = ((window[f"kernel_{side}"] - 1) * window[f"dilation_{axis}"] for side, axis in _AXES)
        rows = (top >= 0) & (top + down < window["input_height"])
        columns = (left >= 0) & (left + right < window["input_width"])
        return int(rows.sum() * columns.sum())

    def distance(self, together: int) -> int:
        """Of the input in front of the output, where they overlap."""
        return blocks_distance(self.window, self.depth, self.layer.channels, together)


_AXES = (("height", "y"), ("width", "x"))


@kernel_for(Conv2D, needs={"rvv"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _conv2d(site)


@kernel_for(FullyConnected, needs={"rvv"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """A pointwise convolution of its rows."""
    return _fully_connected(site)


@cover_for(*PATTERNS, needs={"rvv"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""
    return kernel_and_after(site, _conv2d, _fully_connected)


def _conv2d(site: Site, after: After | None = None) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Convolution) or not is_dense(site):
        return None
    window = op.window_of(sig)
    found = Vectors.of(site, window_fields(window, sig.input, sig.output), sig.input.shape[3])
    return None if found is None else _dense(found, "conv2d", window_stem(window, sig.input, sig.output), after)


def _fully_connected(site: Site, after: After | None = None) -> Kernel | None:
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    found = Vectors.of(site, row_window(rows), inputs)
    return None if found is None else _dense(found, "fully_connected", f"{rows}x{inputs}_{outputs}", after)


def _dense(found: Vectors, kind: str, size: str, after: After | None) -> Kernel:
    layer, pixels = found.layer, found.pixels
    in_image = found.window["kernel_height"] == 1 and 1 in (found.window["kernel_width"], found.window["dilation_x"])
    copied = pixels - found.inside if in_image else pixels
    fields = {
        "window": found.window,
        "input_channels": found.depth,
        "output_channels": layer.channels,
        "input_zero_point": padding_value(found.site, layer),
        "in_image": int(in_image),
        **found.fields,
    }
    stem, callee, header = f"{kind}_rvv_{size}", "tc_rvv_conv2d_s8", "tc_rvv_conv2d.h"
    shape, comment = Struct("tc_rvv_conv2d_shape", fields), "32 channels of 3 pixels at a time, sums in vectors."
    blocks, single = divmod(pixels, PIXELS)
    kernel = Kernel(
        f"{kind}_rvv",
        struct_call(stem, callee, header, PARAMETERS, (shape,), comment),
        found.constants,
        scratch_bytes=-(-(4 * PIXELS * CHANNELS + (PIXELS * layer.taps if copied else 0)) // 8) * 8,
        instructions=_instructions(found, copied),
        code_bytes=900,
        sweeps=Sweeps(blocks + bool(single), between=PIXELS * layer.taps),
        overlap={0: found.distance(PIXELS)},
        notes={"requantisation": found.requant.plan.form},
        requant=found.requant.shape_in_code,
    )
    if after is None:
        return kernel
    function = after.function(callee, stem, header, PARAMETERS, shape, comment)
    each = 6 if after.table else 14
    return after.kernel(kernel, function, each * pixels * layer.channels, PIXELS * layer.channels)


def _instructions(found: Vectors, copied: int) -> int:
    """Counted from the assembly: 9 a tap of three pixels, 5 of one, and 6 or 4 more for four taps."""
    taps, (blocks, single) = found.layer.taps, divmod(found.pixels, PIXELS)
    fours, rest = divmod(taps, 4)
    three = 60 + fours * 41 + rest * 14
    one = 50 + fours * 23 + rest * 8
    sums = (blocks + (single > 1)) * three + (single == 1) * one
    kernel = found.size("kernel_height") * (12 + 7 * -(-taps // found.size("kernel_height") // 128))
    edge = found.size("kernel_height", "kernel_width") * 24
    outside = found.pixels - found.inside
    windows = (copied - min(copied, outside)) * kernel + outside * edge + 20 * found.pixels
    return found.chunks * (sums + found.pixels * found.finish) + windows + 60


@kernel_for(DepthwiseConv2D, needs={"rvv"})
def depthwise(site: Site, core: Core) -> Kernel | None:
    """Any window, a channel's output from one channel of the input."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or op.multiplier(sig) != 1:
        return None
    window = op.window_of(sig)
    found = Vectors.of(site, window_fields(window, sig.input, sig.output), sig.input.shape[3])
    if found is None:
        return None
    layer, channels = found.layer, found.layer.channels
    fields = {
        "window": found.window,
        "channels": channels,
        "input_zero_point": padding_value(site, layer),
        **found.fields,
    }
    taps = layer.taps
    stem = f"depthwise_conv2d_rvv_{window_stem(window, sig.input, sig.output)}"
    comment = "32 channels of a pixel at a time, sums in vectors."
    parts = (Struct("tc_rvv_depthwise_shape", fields),)
    return Kernel(
        "depthwise_conv2d_rvv",
        struct_call(stem, "tc_rvv_depthwise_s8", "tc_rvv_depthwise.h", PARAMETERS, parts, comment),
        found.constants,
        scratch_bytes=-(-(4 * CHANNELS + 8 * taps + (channels if any(window.padding) else 0)) // 8) * 8,
        instructions=60 + found.pixels * (20 + 9 * taps + found.chunks * (30 + 11 * taps + found.finish)),
        code_bytes=700,
        sweeps=Sweeps(found.pixels, between=taps * channels),
        overlap={0: found.distance(1)},
        notes={"requantisation": found.requant.plan.form},
        requant=found.requant.shape_in_code,
    )

"""The byte-lane product for matrix-like layers on cores with the DSP extension (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Isa, Kernel, kernel_for, safe_distance
from tinycompile.kernels.linear import LinearLayer
from tinycompile.kernels.render import render
from tinycompile.numerics.requant_solver import RequantPlan
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected

PRE = 8
"""The accumulators hold 256 times the sum."""

PIXELS = 4
"""Output pixels per block."""


@dataclass(frozen=True)
class Epilogue:
    """The constants of a block function that are immediates: one function for each distinct one.

    Attributes:
        clamp: (instruction, constant) steps that narrow the saturated byte to [low, high].
    """

    signed: bool
    shift: int
    unsigned: bool
    bits: int
    low: int
    high: int
    clamp: tuple[tuple[str, int], ...]

    @staticmethod
    def of(plan: RequantPlan) -> Epilogue | None:
        """None where the plan has no such form."""
        if plan.form not in ("smmla", "smmla_signed"):
            return None
        clamp = clamp_steps(plan) if plan.needs_clamp else ()
        if clamp is None:
            return None
        signed = plan.form == "smmla_signed"
        return Epilogue(signed, int(plan.shift[0]), plan.unsigned, plan.saturate_bits, plan.low, plan.high, clamp)

    def name(self, kind: str) -> str:
        """Of a block function; `kind` is its template's name."""
        parts = [f"{'u' if self.unsigned else 's'}{self.bits}", f"asr{self.shift}", "signed" if self.signed else ""]
        if self.clamp:
            parts.append(f"clamp_{self.low}_{self.high}".replace("-", "m"))
        return "_".join((kind, *filter(None, parts)))

    def source(self, kind: str) -> str:
        """C text of the block function."""
        return render(f"kernels/{kind}.c.j2", name=self.name(kind), **asdict(self))


def clamp_steps(plan: RequantPlan) -> tuple[tuple[str, int], ...] | None:
    """A byte is clamped by pushing it against an end of its type and back again, first above, then below.

    None for a clamp to negative values only, which no activation makes.
    """
    add, subtract = ("uqadd8", "uqsub8") if plan.unsigned else ("qadd8", "qsub8")
    smallest, largest = (0, 255) if plan.unsigned else (-128, 127)
    reach = largest - smallest if plan.unsigned else largest
    above = largest - plan.high if plan.high < plan.saturate_range[1] else 0
    below = plan.low - smallest
    if max(above, below) > reach:
        return None
    if above and below and above + below <= reach:
        return (add, above), (subtract, above + below), (add, below)
    upper = ((add, above), (subtract, above)) if above else ()
    lower = ((subtract, below), (add, below)) if below else ()
    return upper + lower


def pack_words(matrix: Array) -> Array | None:
    """Weights (C, K) with K a multiple of 4 as words (C, K / 4): lanes 256 w1 + w0 and 256 w3 + w2.

    None where a lane leaves int16, which takes a weight of -128.
    """
    w = matrix.reshape(matrix.shape[0], -1, 4).astype(np.int64)
    low, high = 256 * w[..., 1] + w[..., 0], 256 * w[..., 3] + w[..., 2]
    lanes = np.stack([low, high])
    if lanes.min(initial=0) < -(2**15) or lanes.max(initial=0) >= 2**15:
        return None
    return ((low & 0xFFFF) | ((high & 0xFFFF) << 16)).astype(np.uint32).view(np.int32)


def padded(array: Array, rows: int, columns: int) -> Array:
    """Filled up with zeros to (rows, columns)."""
    return np.pad(array, ((0, rows - array.shape[0]), (0, columns - array.shape[1])))


def lane_offset(matrix: Array) -> Array:
    """What the expanded inputs add to each accumulator: -256 * 127 * (sum of the weights at odd positions)."""
    return -256 * 127 * matrix[:, 1::2].sum(axis=1)


def channel_stream(words: Array, plan: RequantPlan, together: int) -> Array:
    """int32 stream per `together` channels: their starts, their words interleaved, the parameters of each channel."""
    fields = [plan.multiplier, plan.offset]
    if plan.form == "smmla_signed":
        fields.append(plan.sign_step)
    blocks = -(-words.shape[0] // together)
    rows = blocks * together
    start = padded(plan.start[:, None], rows, 1).reshape(blocks, -1)
    body = padded(words, rows, words.shape[1]).reshape(blocks, together, -1).transpose(0, 2, 1).reshape(blocks, -1)
    parameters = padded(np.stack(fields, axis=1), rows, len(fields)).reshape(blocks, -1)
    return np.concatenate([start, body, parameters], axis=1).astype(np.int32).ravel()


def packed(layer: LinearLayer) -> tuple[Array, RequantPlan, Epilogue] | None:
    """(words, plan, epilogue) of a layer; None where the byte-lane product can't compute it."""
    matrix = padded(layer.matrix, layer.channels, -(-layer.taps // 4) * 4)
    words = pack_words(matrix)
    if words is None or not layer.fits(PRE):
        return None
    plan = layer.solve(PRE, lane_offset(matrix))
    epilogue = Epilogue.of(plan)
    return None if epilogue is None else (words, plan, epilogue)


@kernel_for(Conv2D)
def conv2d(site: Site, isa: Isa) -> Kernel | None:
    """4 pixels x 2 channels in registers; any window, without groups."""
    op, sig = site.node.op, site.sig
    if not isa.dsp or not isinstance(op, Conv2D) or site.constants[1] is None:
        return None
    if sig.input.shape[3] != sig.inputs[1].shape[3]:
        return None
    layer = LinearLayer.of(site)
    found = packed(layer)
    if found is None:
        return None
    words, plan, epilogue = found
    groups, stream = words.shape[1], channel_stream(words, plan, 2)
    (_, height, width, depth), (_, out_height, out_width, channels) = sig.input.shape, sig.output.shape
    kernel = layer.weights.shape[1:3]
    gathers = kernel != (1, 1) or any(op.padding)
    stride = channels + channels % 2
    shape = {
        "input_height": height,
        "input_width": width,
        "input_channels": depth,
        "output_height": out_height,
        "output_width": out_width,
        "output_channels": channels,
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride_y": op.stride[0],
        "stride_x": op.stride[1],
        "dilation_y": op.dilation[0],
        "dilation_x": op.dilation[1],
        "padding_top": op.padding[0],
        "padding_left": op.padding[2],
        "zero_point": layer.zp_in,
    }
    pixels = out_height * out_width
    body = render(
        "kernels/lane_conv2d.c.j2",
        shape=shape,
        groups=groups,
        stride=stride,
        gathers=gathers,
        pixels=pixels,
        block=epilogue.name("lane_block"),
        weight_words=stream.size,
    )
    function = Function(
        stem=f"conv2d_lane_{kernel[0]}x{kernel[1]}_{height}x{width}x{depth}_{channels}",
        parameters=("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch"),
        body=body,
        headers=("kernels/tc_lane_conv2d.h",),
        comment="Convolution by the byte-lane product, 4 pixels and 2 channels in registers.",
        preamble=epilogue.source("lane_block"),
    )
    return Kernel(
        "conv2d_lane",
        function,
        (Constant("weights", "int32_t", stream, "per pair of channels: starts, lane words, requantisation"),),
        scratch_bytes=32 * groups + 4 * stride + (layer.taps if gathers else 0),
        instructions=_instructions(pixels, groups, channels, kernel, gathers),
        code_bytes=500,
        overlap={0: safe_distance(_steps(op, sig.input.shape, sig.output.shape))},
        notes={"requantisation": plan.form},
    )


def _instructions(pixels: int, groups: int, channels: int, kernel: tuple[int, ...], gathers: bool) -> int:
    """Per block of 4 pixels: 24.5 per group and pair of channels, 45 per pair; 8 per expanded word; gathering."""
    blocks, pairs = -(-pixels // PIXELS), -(-channels // 2)
    expand = PIXELS * (20 + 8 * groups + ((25 * kernel[0] + 4 * groups) if gathers else 0))
    return 60 + blocks * (50 + expand + pairs * (24 * groups + groups // 2 * 3 + 48))


def _steps(op: Conv2D, x: tuple[int, ...], y: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """After each block: the first input byte that a later pixel reads, and the output bytes written so far."""
    row_bytes, (_, height, width, channels) = x[2] * x[3], y
    pixels = height * width
    for done in range(PIXELS, pixels, PIXELS):
        later_y, later_x = divmod(done, width)
        first_row = max(0, later_y * op.stride[0] - op.padding[0])
        next_row = max(0, (later_y + 1) * op.stride[0] - op.padding[0])
        column = max(0, later_x * op.stride[1] - op.padding[2])
        pending = min(first_row * row_bytes + column * x[3], next_row * row_bytes)
        yield pending, done * channels


@kernel_for(FullyConnected)
def fully_connected(site: Site, isa: Isa) -> Kernel | None:
    """1 row x 8 channels in registers; the whole row is expanded first."""
    if not isa.dsp or site.constants[1] is None:
        return None
    layer, sig = LinearLayer.of(site), site.sig
    found = packed(layer)
    if found is None:
        return None
    words, plan, epilogue = found
    groups, stream = words.shape[1], channel_stream(words, plan, 8)
    outputs, inputs = sig.inputs[1].shape
    rows = sig.output.elements // outputs
    blocks = -(-outputs // 8)
    body = render(
        "kernels/lane_fully_connected.c.j2",
        block=epilogue.name("lane_row"),
        groups=groups,
        whole=outputs // 8,
        rest=outputs % 8,
        whole_words=stream.size // blocks * (outputs // 8),
        words=stream.size,
        rows=rows,
        inputs=inputs,
        outputs=outputs,
    )
    function = Function(
        stem=f"fully_connected_lane_{rows}x{inputs}_{outputs}",
        parameters=("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch"),
        body=body,
        headers=("kernels/tc_lane.h",),
        comment="Fully connected layer by the byte-lane product, 8 channels in registers.",
        preamble=epilogue.source("lane_row"),
    )
    return Kernel(
        "fully_connected_lane",
        function,
        (Constant("weights", "int32_t", stream, "per 8 channels: starts, lane words, requantisation"),),
        scratch_bytes=8 * groups,
        instructions=60 + rows * (40 + 8 * groups + blocks * (48 + 29 * groups + groups // 2 * 3)),
        code_bytes=500,
        overlap={0: safe_distance((row * inputs, row * outputs) for row in range(1, rows))},
        notes={"requantisation": plan.form},
    )

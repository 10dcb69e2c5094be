"""The byte-lane product for matrix-like layers on cores with the DSP extension (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Function, Kernel, kernel_for, safe_distance
from tinycompile.kernels.linear import LinearLayer, has_wide_weights
from tinycompile.kernels.render import Later
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

PRE = 8
"""The accumulators hold 256 times the sum."""


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

    def source(self, template: str, kind: str, **values: object) -> Later:
        """C text of the block function `name(kind)`."""
        return Later(f"kernels/{template}.c.j2", name=self.name(kind), **asdict(self), **values)


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


def pack_words(matrix: Array, *, direct: bool = False) -> Array | None:
    """Weights (C, K) with K a multiple of 4 as words (C, K / 4): lanes 256 w1 + w0 and 256 w3 + w2.

    Args:
        direct: for inputs that are expanded as they are read: lanes w1 - 256 w0 and w3 - 256 w2.

    None where a lane leaves int16, which takes a weight of -128.
    """
    w = matrix.reshape(matrix.shape[0], -1, 4).astype(np.int64)
    if direct:
        low, high = w[..., 1] - 256 * w[..., 0], w[..., 3] - 256 * w[..., 2]
    else:
        low, high = 256 * w[..., 1] + w[..., 0], 256 * w[..., 3] + w[..., 2]
    lanes = np.stack([low, high])
    if lanes.min(initial=0) < -(2**15) or lanes.max(initial=0) >= 2**15:
        return None
    return ((low & 0xFFFF) | ((high & 0xFFFF) << 16)).astype(np.uint32).view(np.int32)


def padded(array: Array, rows: int, columns: int) -> Array:
    """Filled up with zeros to (rows, columns)."""
    return np.pad(array, ((0, rows - array.shape[0]), (0, columns - array.shape[1])))


def lane_offset(matrix: Array, *, direct: bool = False) -> Array:
    """What the expanded inputs add to each accumulator beside 256 times the sum.

    -256 * 127 * (sum of the weights at odd positions), or 256 * 128 * (sum of those at even positions).
    """
    return 256 * 128 * matrix[:, 0::2].sum(axis=1) if direct else -256 * 127 * matrix[:, 1::2].sum(axis=1)


def channel_stream(words: Array, plan: RequantPlan, together: int, order: Array | None = None) -> Array:
    """int32 stream per `together` channels: their starts, their words interleaved, the parameters of each channel.

    Args:
        order: the channels in the order of the stream; None for all, as they are.
    """
    fields = [plan.multiplier, plan.offset]
    if plan.form == "smmla_signed":
        fields.append(plan.sign_step)
    taken: Array = np.arange(len(words)) if order is None else order
    blocks = -(-taken.size // together)
    rows = blocks * together
    start = padded(plan.start[taken, None], rows, 1).reshape(blocks, -1)
    body = (
        padded(words[taken], rows, words.shape[1]).reshape(blocks, together, -1).transpose(0, 2, 1).reshape(blocks, -1)
    )
    parameters = padded(np.stack(fields, axis=1)[taken], rows, len(fields)).reshape(blocks, -1)
    return np.concatenate([start, body, parameters], axis=1).astype(np.int32).ravel()


@dataclass(frozen=True, eq=False)
class Lanes:
    """A layer that the byte-lane product computes; its weights are packed when somebody reads them.

    Attributes:
        direct: as in `pack_words`.
    """

    layer: LinearLayer
    direct: bool
    plan: RequantPlan
    epilogue: Epilogue

    @staticmethod
    def of(layer: LinearLayer, *, direct: bool = False) -> Lanes | None:
        """None where the byte-lane product can't compute the layer."""
        if not layer.fits(PRE) or not _fits_lanes(layer, direct):
            return None
        plan = layer.solve(PRE, lane_offset(layer.matrix, direct=direct))
        epilogue = Epilogue.of(plan)
        return None if epilogue is None else Lanes(layer, direct, plan, epilogue)

    @property
    def groups(self) -> int:
        """Words of a channel: four taps each."""
        return -(-self.layer.taps // 4)

    @property
    def record(self) -> int:
        """Words of a channel with its start and its requantisation."""
        return 1 + self.groups + (3 if self.epilogue.signed else 2)

    def stream(self, together: int, order: Array | None = None) -> Deferred:
        """`channel_stream` of the layer."""
        channels = self.layer.channels if order is None else order.size
        size = -(-channels // together) * together * self.record
        return Deferred(size, np.int32, lambda: channel_stream(self._words, self.plan, together, order))

    @property
    def _words(self) -> Array:
        words = pack_words(_whole_words(self.layer), direct=self.direct)
        if words is None:
            raise ValueError("a lane leaves int16")
        return words


def _whole_words(layer: LinearLayer) -> Array:
    return padded(layer.matrix, layer.channels, -(-layer.taps // 4) * 4)


def _fits_lanes(layer: LinearLayer, direct: bool) -> bool:
    """Whether there are `pack_words`: without a weight of -128 always."""
    return layer.lowest_weight > -128 or pack_words(_whole_words(layer), direct=direct) is not None


def as_rows(site: Site) -> tuple[int, int, int] | None:
    """(rows, inputs, outputs) of a layer that multiplies each of its input's rows by a matrix; None if it doesn't.

    A convolution does where its window is one pixel or, once, the whole image.
    """
    op, (x, w), y = site.node.op, site.sig.inputs[:2], site.sig.output
    inputs, outputs = w.elements // w.shape[0], w.shape[0]
    if isinstance(op, Conv2D):
        pointwise = w.shape[1:] == (1, 1, x.shape[3]) and op.stride == (1, 1)
        whole = w.shape[1:] == x.shape[1:] and op.dilation == (1, 1)
        if any(op.padding) or not (pointwise or whole):
            return None
    return y.elements // outputs, inputs, outputs


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """1 row x 8 channels in registers; the whole row is expanded first."""
    return _rows_kernel(site, core, direct=False)


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_direct(site: Site, core: Core) -> Kernel | None:
    """The same without scratch: inputs are expanded as they are read, for every 8 channels again."""
    return _rows_kernel(site, core, direct=True)


def _rows_kernel(site: Site, core: Core, *, direct: bool) -> Kernel | None:
    if site.constants[1] is None or has_wide_weights(site):
        return None
    shape = as_rows(site)
    if shape is None:
        return None
    rows, inputs, outputs = shape
    if direct and inputs % 4:
        return None  # the last word would reach beyond the row
    layer = LinearLayer.of(site)
    lanes = Lanes.of(layer, direct=direct)
    if lanes is None:
        return None
    groups, epilogue, stream = lanes.groups, lanes.epilogue, lanes.stream(8)
    blocks = -(-outputs // 8)
    kind = "lane_row_direct" if direct else "lane_row"
    body = Later(
        "kernels/lane_fully_connected.c.j2",
        direct=direct,
        block=epilogue.name(kind),
        groups=groups,
        whole=outputs // 8,
        rest=outputs % 8,
        whole_words=stream.size // blocks * (outputs // 8),
        words=stream.size,
        rows=rows,
        inputs=inputs,
        outputs=outputs,
    )
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    function = Function(
        stem=f"fully_connected_{'direct' if direct else 'lane'}_{rows}x{inputs}_{outputs}",
        parameters=parameters[:3] if direct else parameters,
        text=body,
        headers=("kernels/tc_lane.h",),
        comment="Fully connected layer by the byte-lane product, 8 channels in registers.",
        preambles=(epilogue.source("lane_row", kind, direct=direct, strict=core.strict),),
    )
    expand, group = (0, 38 if core.strict else 32) if direct else (8 * groups, 29)
    per_row = 40 + expand + blocks * (48 + group * groups + groups // 2 * 3)
    return Kernel(
        f"fully_connected_{'direct' if direct else 'lane'}",
        function,
        (Constant("weights", "int32_t", stream, "per 8 channels: starts, lane words, requantisation"),),
        scratch_bytes=0 if direct else 8 * groups,
        instructions=60 + rows * per_row,
        code_bytes=500,
        overlap={0: safe_distance(_row_steps(rows, inputs, outputs, direct))},
        notes={"requantisation": lanes.plan.form},
        requant=lanes.plan.shape_in_code,
    )


def _row_steps(rows: int, inputs: int, outputs: int, direct: bool) -> Iterator[tuple[int, int]]:
    """What later rows still read when a row is written; of an unexpanded one, what its next channels read as well."""
    for row in range(rows):
        if direct and outputs > 8:
            yield row * inputs, row * outputs + (outputs - 1) // 8 * 8
        if row + 1 < rows:
            yield (row + 1) * inputs, (row + 1) * outputs

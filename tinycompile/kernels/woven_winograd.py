"""Exact integer Winograd convolution of four tiles in three words, for cores with some 30 registers (docs/kernels.md).

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.2; with points that
cost one factor of two, and modulo 2^32, so that only sums of whole windows need room in a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call, window_fields, window_stem
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer, padding_value
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.kernels.winograd import steps
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

TILES, WORDS = 4, 3
"""Tiles of a block, and the words that they are."""

HOP = 4
"""Input pixels from a tile to the next one, with either stride."""

MOST_TOGETHER = 6
"""Output channels whose sums are in registers; the last ones are four at a time where fewer are left over so."""

UNROLLED = 8
"""Input channels that the loop over them has written out, at most."""

FIELD_BITS = 24
"""Of a tile's number in the words."""

LARGEST_SHIFT = 8
"""Of sums, for their requantisation."""

_PARAMETERS = (
    *("const int8_t *input", "int8_t *output", "const int16_t *weights", "const int32_t *channels"),
    "void *scratch",
)


@dataclass(frozen=True)
class Algorithm:
    """Winograd's for windows of 3x3.

    Attributes:
        matrix: G, weights to numbers of a tile (different, 3).
        span: numbers of a tile along each axis, and input pixels that they are made of; some have the same weights.
        plain: of both factors the rows and columns whose inputs have the weights' factor instead, or None.
        side: outputs of a tile, along each axis.
        pre: outputs are 2^pre times the sums.
        expanded, gathered: instructions for the transforms of a block's channel: of its input, and of a run's sums.
    """

    matrix: tuple[tuple[int, ...], ...]
    span: int
    plain: int | None
    side: int
    pre: int
    expanded: int
    gathered: int

    @property
    def positions(self) -> int:
        return self.span**2

    @property
    def weights(self) -> int:
        """Different ones of a pair of channels."""
        return len(self.matrix) ** 2

    def transformed(self, weights: Array) -> Array:
        """G g G' of (C_out, 3, 3, C_in): (C_out, weights, C_in)."""
        g = np.array(self.matrix)
        found = np.einsum("iy,oyxc,jx->oijc", g, weights, g)
        if self.plain is not None:
            found[:, self.plain, self.plain] //= g[self.plain, 0] ** 2
        return found.reshape(weights.shape[0], self.weights, -1)


ONE = Algorithm(((9, 0, 0), (9, 9, 9), (1, -1, 1), (1, 2, 4), (4, 2, 1), (0, 0, 9)), 6, 1, 4, 2, 1730, 872)
TWO = Algorithm(((1, 0, 0), (1, 0, 1), (0, 0, 1), (0, 1, 0)), 5, None, 2, 0, 580, 250)
"""Of windows with stride 1, and with stride 2."""


def channel_groups(channels: int) -> tuple[int, int]:
    """Into how many sixes and fours of channels, so that they take the fewest instructions."""
    most = -(-channels // 6)
    return min(((n, -(-max(0, channels - 6 * n) // 4)) for n in range(most + 1)), key=lambda g: 45 * g[0] + 31 * g[1])


def stream(layer: LinearLayer, algorithm: Algorithm, run: int) -> Array:
    """int16 per group of output channels and `run` input channels: [weights][input channels][output channels]."""
    u = algorithm.transformed(layer.weights)
    sixes, fours = channel_groups(layer.channels)
    u = np.pad(u, ((0, 6 * sixes + 4 * fours - layer.channels), (0, 0), (0, 0)))
    first, last = np.split(u, [6 * sixes])
    groups = [*first.reshape(sixes, 6, *u.shape[1:]), *last.reshape(fours, 4, *u.shape[1:])]
    runs = [group[..., at : at + run] for group in groups for at in range(0, u.shape[-1], run)]
    return np.concatenate([each.transpose(1, 2, 0).ravel() for each in runs]).astype(np.int16)


@lru_cache(KEPT_LAYERS)
def run_channels(layer: LinearLayer, pre: int) -> int:
    """Input channels whose sums of whole windows, times 2^pre, fit a tile's bits, whatever the input is."""
    weights = layer.weights
    more, less = (np.maximum(signed, 0).sum(axis=(1, 2)) for signed in (weights, -weights))
    largest, depth = np.maximum(128 * more + 127 * less, 127 * more + 128 * less), weights.shape[-1]
    for runs in range(1, depth + 1):
        run = -(-depth // runs)
        sums = np.add.reduceat(largest, range(0, depth, run), axis=1)
        if int(sums.max(initial=0)) << pre < 1 << (FIELD_BITS - 1):
            return run
    raise ValueError("no sum of a single input channel has so many bits")


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution by one of the algorithms."""

    layer: LinearLayer
    algorithm: Algorithm
    requant: ProductRequant
    depth: int
    height: int
    width: int

    @property
    def run(self) -> int:
        """Input channels whose products are summed before sums are taken out of words."""
        return run_channels(self.layer, self.algorithm.pre)

    @property
    def runs(self) -> int:
        return -(-self.depth // self.run)

    @property
    def unrolled(self) -> int:
        return gcd(self.run, self.depth, UNROLLED)

    @property
    def tile_rows(self) -> int:
        """Of a block."""
        return min((1, 2), key=self._blocks)

    def _blocks(self, rows: int) -> int:
        side = self.algorithm.side
        return -(-self.height // (side * rows)) * -(-self.width // (side * TILES // rows))

    @property
    def blocks(self) -> int:
        return self._blocks(self.tile_rows)

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of outputs of a block."""
        return self.algorithm.side * self.tile_rows, self.algorithm.side * TILES // self.tile_rows

    @property
    def outside(self) -> int:
        """Outputs of a channel that are in blocks which reach beyond the image."""
        rows, columns = self.block
        return self.height * self.width - self.height // rows * rows * (self.width // columns * columns)

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of input pixels under a block."""
        rows, columns = self.tile_rows, TILES // self.tile_rows
        return HOP * (rows - 1) + self.algorithm.span, HOP * (columns - 1) + self.algorithm.span

    @property
    def scratch_bytes(self) -> int:
        """Transformed inputs; columns of a channel; sums and outputs beyond an image's edge, before that the window."""
        algorithm, (rows, columns) = self.algorithm, self.window
        working = max(algorithm.positions, algorithm.span * algorithm.side * self.runs)
        sums = 4 * MOST_TOGETHER * WORDS * algorithm.positions * self.runs
        edge = MOST_TOGETHER * TILES * algorithm.side**2 if self.outside else 0
        bytes_ = 4 * WORDS * (algorithm.positions * self.depth + working) + max(
            sums + edge, rows * columns * self.depth
        )
        return -(-bytes_ // 8) * 8

    @property
    def instructions(self) -> int:
        """Per block: window, transforms of the input, products by groups of output channels, outputs of a channel."""
        algorithm, runs, (rows, columns) = self.algorithm, self.runs, self.window
        block = 250 + rows * (180 + columns * self.depth) + self.depth * algorithm.expanded
        for together, groups in zip((6, 4), channel_groups(self.layer.channels), strict=True):
            channel = 3 + 7 * together + 3 / self.unrolled
            position = self.depth * channel + runs * (10 + 7 * (algorithm is TWO))
            block += groups * (algorithm.positions * position + 80 * runs)
        plan, side = self.requant.plan, algorithm.side
        each = 13.5 + 3 * (plan.form != "smmla") + (plan.pre > algorithm.pre)
        taken = TILES * each + 26 * runs * (runs > 1)
        outputs = algorithm.gathered * runs + side**2 * taken + 12 * side + 30
        return int(100 + self.blocks * (block + self.layer.channels * outputs) + 7 * self.layer.channels * self.outside)

    def functions(self) -> tuple[Fields, tuple[str, ...]]:
        """Members of a `tc_woven_winograd_shape` that are functions, and their definitions."""
        strided, names, definitions = int(self.algorithm is TWO), dict[str, str](), list[str]()
        groups = channel_groups(self.layer.channels)
        for member, together, count in zip(("six", "four"), (6, 4), groups, strict=True):
            name = f"woven_winograd_products_s{strided + 1}_{together}_{self.unrolled}"
            names[member] = name if count else "NULL"
            definitions += [f"TC_WOVEN_WINOGRAD_PRODUCTS({name}, {strided}, {together}, {self.unrolled})"] * min(
                1, count
            )
        requant = {**self.requant.fields, "pre": self.requant.plan.pre - self.algorithm.pre}
        numbers = ", ".join(map(str, (strided, self.runs, *requant.values())))
        finish = f"woven_winograd_finish_{numbers}".replace(", ", "_").replace("-", "m")
        definitions.append(f"TC_WOVEN_WINOGRAD_FINISH({finish}, {numbers})")
        return {"sixes": groups[0], **names, "finish": finish}, tuple(definitions)


@kernel_for(Conv2D, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def woven_winograd(site: Site, core: Core) -> Kernel | None:
    """3x3 windows with stride 1 or 2 over all channels, and constant weights."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or any(constant is None for constant in site.constants[1:]):
        return None
    algorithm = ONE if op.stride == (1, 1) else TWO if op.stride == (2, 2) else None
    if sig.inputs[1].shape[1:] != (3, 3, sig.input.shape[3]) or op.dilation != (1, 1) or algorithm is None:
        return None
    if site.latitude is not None:
        return None
    layer = LinearLayer.of(site)
    # A larger shift beyond the algorithm's own takes an instruction.
    requant = ProductRequant.of(layer, shifts=range(algorithm.pre, LARGEST_SHIFT + 1, 2))
    if requant is None:
        return None
    (_, height, width, _) = sig.output.shape
    return _kernel(site, op, _Layer(layer, algorithm, requant, sig.input.shape[3], height, width))


def _kernel(site: Site, op: Conv2D, found: _Layer) -> Kernel:
    sig, layer, algorithm, run = site.sig, found.layer, found.algorithm, found.run
    window, (members, definitions) = op.window_of(sig), found.functions()
    shape: Fields = {
        "window": window_fields(window, sig.input, sig.output),
        "input_channels": found.depth,
        "output_channels": layer.channels,
        "input_zero_point": padding_value(site, layer),
        "tile_rows": found.tile_rows,
        "runs": found.runs,
        "run_channels": run,
        "parameters": 3 if found.requant.plan.form == "smmla" else 4,
        **members,
    }
    function = struct_call(
        f"conv2d_woven_winograd_{window_stem(window, sig.input, sig.output)}",
        "tc_woven_winograd_s8",
        "tc_woven_winograd.h",
        _PARAMETERS,
        (Struct("tc_woven_winograd_shape", shape),),
        "Winograd convolution, 4 tiles woven into 3 words, of 6 output channels at a time.",
        names_of(_PARAMETERS),
        definitions,
    )
    sixes, fours = channel_groups(layer.channels)
    size = (6 * sixes + 4 * fours) * algorithm.weights * found.depth
    words = Deferred(size, np.int16, lambda: stream(layer, algorithm, run))
    return Kernel(
        "conv2d_woven_winograd",
        function,
        (
            Constant("weights", "int16_t", words, "transformed, per group of channels and position"),
            found.requant.vectors(1),
        ),
        scratch_bytes=found.scratch_bytes,
        instructions=found.instructions,
        code_bytes=4000,
        sweeps=Sweeps(found.blocks, between=4 * WORDS * algorithm.positions * found.depth),
        overlap={0: safe_distance(steps(op, sig.input.shape, sig.output.shape, *found.block))},
        notes={"requantisation": found.requant.plan.form},
    )

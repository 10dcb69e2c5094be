"""Three channels of pixels that are 5 to 3 words, or 3 to 2, for cores with some 30 registers (docs/kernels.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, kernel_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import Fields, Struct
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer
from tinycompile.kernels.pixel_layer import PixelLayer, pixel_layer
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.kernels.window_rows import pair_rows
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

WORDS = 6
"""Whose sums with three channels are in registers."""

STEP = 4
"""Taps: the loop over them has so many written out, and runs of them end where it does."""


@dataclass(frozen=True)
class Weave:
    """How pixels share words (tc_woven.h).

    Attributes:
        pixels, words: so many pixels in so many words.
        bits: of a pixel's sum.
        expanded, taken: instructions for a tap of the words, and for taking sums out of them.
    """

    pixels: int
    words: int
    bits: int
    expanded: int
    taken: int

    @property
    def together(self) -> int:
        """Pixels of a block."""
        return WORDS // self.words * self.pixels


THREES, FIVES = Weave(3, 2, 21, 11, 11), Weave(5, 3, 19, 18, 23)


def run_count(matrix: Array, weave: Weave) -> int:
    """Into how many runs of equally many taps, but for the last, (C, K) weights are cut, so that each one's sums fit.

    With x in [-128, 127], a sum is within 128 P + 127 N on one side and 127 P + 128 N on the other, P and N being
    the sums of its positive and its negative weights' magnitudes.
    """
    steps = -(-matrix.shape[1] // STEP)
    runs = 1
    while runs < steps and _largest_sum(matrix, run_taps(matrix.shape[1], runs)) >= 1 << (weave.bits - 1):
        runs += 1
    return -(-steps // (run_taps(matrix.shape[1], runs) // STEP))


def run_taps(taps: int, runs: int) -> int:
    """Of each run but the last."""
    return STEP * -(-taps // (STEP * runs))


def _largest_sum(matrix: Array, taps: int) -> int:
    filled = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % taps))).reshape(len(matrix), -1, taps)
    more, less = np.maximum(filled, 0).sum(axis=2), np.maximum(-filled, 0).sum(axis=2)
    return int(np.maximum(128 * more + 127 * less, 127 * more + 128 * less).max(initial=0))


def channel_blocks(channels: int) -> tuple[int, int]:
    """Into how many threes and twos of channels; with a single one beside, if there is only that."""
    twos = -channels % 3 if channels > 2 else 1
    return (channels - 2 * twos) // 3 if channels > 2 else 0, twos


def woven_stream(matrix: Array) -> Array:
    """int8: per three channels, then per two, [taps][channels]; taps and channels filled with zeros.

    Args:
        matrix: int64 (C, K).
    """
    threes, _ = channel_blocks(len(matrix))
    filled = np.pad(matrix, ((0, int(len(matrix) == 1)), (0, -matrix.shape[1] % STEP)))
    three, two = np.split(filled, [3 * threes])
    parts = [part.reshape(-1, n, filled.shape[1]).transpose(0, 2, 1).ravel() for part, n in ((three, 3), (two, 2))]
    return np.concatenate(parts).astype(np.int8)


@lru_cache(KEPT_LAYERS)
def _run_count(layer: LinearLayer, weave: Weave) -> int:
    return run_count(layer.matrix, weave)


@kernel_for(Conv2D, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _kernel(site, core)


@kernel_for(FullyConnected, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """Several rows are pixels of a pointwise convolution."""
    return _kernel(site, core)


@cover_for(*PATTERNS, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""

    def behind(layer: Site, after: After) -> Kernel | None:
        return _kernel(layer, core, after)

    return kernel_and_after(site, behind, behind)


def _kernel(site: Site, core: Core, after: After | None = None) -> Kernel | None:
    """With the weave that takes fewer instructions."""
    kernels = [kernel for weave in (THREES, FIVES) if (kernel := woven_kernel(site, core, weave, after)) is not None]
    return min(kernels, key=lambda kernel: kernel.instructions, default=None)


def woven_kernel(site: Site, core: Core, weave: Weave, after: After | None = None) -> Kernel | None:
    """By one weave; None where weights can be replaced, or no requantisation is exact."""
    comment = f"{weave.pixels} pixels woven into {weave.words} words, {weave.together} of three channels at a time."
    found = pixel_layer(site, core, "woven", weave.together, comment)
    if found is None or not isinstance(found.requant.way, ProductRequant):
        return None
    layer, runs, requant = found.layer, _run_count(found.layer, weave), found.requant.way
    words = min(WORDS, weave.words * -(-found.pixels // weave.pixels))
    taps = STEP * -(-layer.taps // STEP)
    fields, definitions = _functions(found, weave, runs, requant)
    shape = {
        "layer": found.shape.fields,
        "fives": int(weave is FIVES),
        "runs": runs,
        "run_taps": run_taps(layer.taps, runs),
        **fields,
    }
    found = replace(found, shape=Struct("tc_woven_conv2d_shape", shape), given=(), definitions=definitions)
    copied = found.copied // 2 * weave.pixels
    threes, twos = channel_blocks(layer.channels)
    stream = Deferred((3 * threes + 2 * twos) * taps, np.int8, lambda: woven_stream(layer.matrix))
    kernel = Kernel(
        found.kind,
        found.function,
        (Constant("stream", "int8_t", stream, "weights of three channels, then of two"), found.requant.channels()),
        scratch_bytes=-(-(4 * words * (taps + 3 * runs) + copied) // 8) * 8,
        instructions=_instructions(found, weave, runs, _copied(site, weave), requant),
        code_bytes=1500,
        sweeps=Sweeps(-(-found.pixels // weave.together), between=4 * words * taps),
        overlap={0: found.distance},
        notes={"requantisation": found.requant.form},
    )
    return found.with_after(kernel, after)


def _functions(found: PixelLayer, weave: Weave, runs: int, requant: ProductRequant) -> tuple[Fields, tuple[str, ...]]:
    """Members of a `tc_woven_conv2d_shape` that are functions, and their definitions."""
    threes, twos = channel_blocks(found.layer.channels)
    last = weave.words * -(-(found.pixels % weave.together) // weave.pixels) or WORDS
    full = WORDS if found.pixels >= weave.together else last
    names, definitions = dict[str, str](), list[str]()
    for member, words, channels, blocks in (
        ("three", full, 3, threes),
        ("two", full, 2, twos),
        ("last_three", last, 3, threes),
        ("last_two", last, 2, twos),
    ):
        names[member] = f"tc_woven_products_{words}_{channels}" if blocks else "NULL"
        definitions += [f"TC_WOVEN_PRODUCTS({words}, {channels})"] * min(1, blocks)
    partial = int(found.pixels % weave.pixels > 0)
    numbers = [int(weave is FIVES), runs, partial, *requant.fields.values()]
    finish = "_".join(["woven_finish", *map(str, numbers)]).replace("-", "m")
    definitions.append(f"TC_WOVEN_FINISH({finish}, {', '.join(map(str, numbers))})")
    return {**names, "finish": finish}, tuple(dict.fromkeys(definitions))


def _copied(site: Site, weave: Weave) -> float:
    """Instructions for copies of windows that reach beyond the image or have gaps, pixel by pixel."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Convolution):
        return 0
    rows = pair_rows(op.window_of(sig), sig.input.shape, sig.output.shape, weave.pixels)
    return (rows.inside + rows.outside) * (22 + 3.4 * rows.depth)


def _instructions(found: PixelLayer, weave: Weave, runs: int, copied: float, requant: ProductRequant) -> int:
    """Of all blocks: taps, and for some channels a call and the results."""
    layer, taps = found.layer, STEP * -(-found.layer.taps // STEP)
    total, rows = 30 + copied, layer.taps // found.rows.bytes
    result = 6.3 + 2.7 * (requant.plan.form != "smmla") + (weave is FIVES) + 2.2 * (runs > 1)
    around = 25 * weave.pixels * rows if rows > 1 else 60  # rows of windows: pointers and calls
    for count, blocks in ((weave.together, found.pixels // weave.together), (found.pixels % weave.together, 1)):
        words = weave.words * -(-count // weave.pixels)
        if not words:
            continue
        each = 0.0
        for together, calls in zip((3, 2), channel_blocks(layer.channels), strict=True):
            tap = together + words * (1 + 2 * together) + 0.75
            each += calls * (taps * tap + runs * 60 + 20)
        weaves = words // weave.words
        take = weave.words + weave.taken + (weave.pixels + 3) * (runs > 1)
        each += layer.channels * (30 + weaves * runs * take + count * result)
        each += weaves * (60 + around + layer.taps * weave.expanded)
        total += blocks * each
    return int(total)

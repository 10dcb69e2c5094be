"""Depthwise convolutions with weights in registers for several rows: every kind of row, band, requantisation."""

from __future__ import annotations

from itertools import product

import pytest

from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Site
from tinycompile.kernels.depthwise_frame import Frame
from tinycompile.kernels.depthwise_strips import Bands, Packing, Walk, depthwise_strips
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

M4 = core_named("cortex-m4", dsp=True)
ANY, SAME, HALF, NONE = (-128, 127), (1, 1, 1, 1), (0, 1, 0, 1), (0, 0, 0, 0)
Layer = tuple[tuple[int, int, int], tuple[int, int], int, tuple[int, int, int, int], tuple[int, int]]

LAYERS: dict[str, Layer] = {
    "a few rows at a time, an odd one at the end": ((25, 5, 8), (3, 3), 1, SAME, ANY),
    "channels beside a multiple of 4": ((5, 7, 7), (3, 3), 1, SAME, (-60, 70)),
    "a loop along a row": ((4, 39, 5), (3, 3), 1, SAME, ANY),
    "bands and lower rows out of reach of the first ones": ((2, 70, 60), (3, 3), 1, SAME, ANY),
    "one pixel": ((1, 1, 4), (1, 1), 1, NONE, (5, 70)),
    "two columns of padding, a smaller window": ((6, 4, 4), (2, 3), 1, (0, 1, 2, 0), ANY),
    "stride 2, two rows at a time": ((23, 17, 9), (3, 3), 2, SAME, (-60, 70)),
    "stride 2, all rows at once": ((8, 9, 6), (3, 3), 2, HALF, ANY),
    "stride 2, row by row": ((6, 112, 4), (3, 3), 2, HALF, (0, 127)),
    "some rows of an image, without padding above": ((22, 5, 8), (3, 3), 1, (0, 1, 1, 1), ANY),
    "stride 2, a last column": ((5, 6, 4), (3, 3), 2, SAME, (5, 70)),
}


def site_of_layer(name: str, seed: int = 0) -> Site:
    (height, width, channels), window, stride, padding, clamp = LAYERS[name]
    op = DepthwiseConv2D((stride, stride), (1, 1), padding, clamp)
    return layer(op, (1, height, width, channels), (1, *window, channels), 3, seed)


def frame_of(name: str) -> Frame:
    frame = Frame.of(site_of_layer(name))
    assert frame is not None
    return frame


CASES = [(depthwise_strips, site_of_layer(name, seed)) for seed, name in enumerate(LAYERS)]


def test_every_kind_of_requantisation_occurs() -> None:
    frames = [frame for _, site in CASES if (frame := Frame.of(site))]
    kinds = {(frame.stride, frame.requant.signed, frame.requant.clamp_steps > 0) for frame in frames}
    assert kinds == set(product((1, 2), (False, True), (False, True)))


@pytest.mark.parametrize("target", ["mps2-an386", "mps2-an500"])
def test_assembly(target: str) -> None:
    """In QEMU, columns by LDRD and by LDR."""
    check_emulated(CASES, target)


def test_assembly_with_slots_on_the_stack() -> None:
    check_emulated(CASES[:2], "mps2-an386", isa=M4, core=("-mcpu=cortex-m4+nofp", "-mthumb", "-mfloat-abi=soft"))


@pytest.mark.parametrize("case", [0, 1, 6])
def test_portable_twins(case: int) -> None:
    """On the host, under sanitizers, in place where the kernel says so."""
    assert check(*CASES[case]).in_place == (case < 2)


def bands_of(shape: tuple[int, int, int], stride: int) -> tuple[Bands, Frame]:
    op = DepthwiseConv2D((stride, stride), (1, 1), SAME if stride == 1 else HALF)
    frame = Frame.of(layer(op, (1, *shape), (1, 3, 3, shape[2]), 3, 0))
    assert frame is not None
    return Bands.of(frame), frame


@pytest.mark.parametrize(
    ("shape", "stride", "slots", "rows"),
    [
        ((25, 5, 64), 1, 4, 6),  # 3 strips, whatever the image's size
        ((48, 48, 8), 1, 4, 6),
        ((96, 96, 16), 1, 5, 8),  # a sixteenth of the input
        ((6, 5, 8), 1, 4, 6),  # all
        ((64, 8, 64), 1, 9, 16),  # no more than 8 strips
        ((48, 48, 16), 2, 2, 1),
        ((24, 24, 32), 2, 3, 2),
        ((8, 8, 8), 2, 5, 4),
    ],
)
def test_scratch_is_a_small_part_of_the_layer(shape: tuple[int, int, int], stride: int, slots: int, rows: int) -> None:
    bands, frame = bands_of(shape, stride)
    assert (bands.slots, bands.rows) == (slots, rows)
    reads = frame.output_shape[1] if stride == 2 else -(-frame.output_shape[1] // 2)
    assert bands.total == reads + 1


def test_wide_layers_with_stride_2_take_single_rows() -> None:
    """LDRD doesn't reach the third band, however much room there is."""
    _, frame = bands_of((40, 112, 96), 2)
    assert (Bands.of(frame).rows, Bands.of(frame, single=True).rows) == (2, 1)
    op = DepthwiseConv2D((2, 2), (1, 1), HALF)
    kernel = depthwise_strips(layer(op, (1, 40, 112, 96), (1, 3, 3, 96), 3, 0), M4)
    assert kernel is not None
    assert kernel.scratch_bytes == 2 * 16 * 114


def test_offsets_are_in_reach() -> None:
    """Of every block of every row, and a longer round isn't possible where a shorter one is taken."""
    for stride, width, channels in product((1, 2), (*range(2, 30), 56, 96, 112), (4, 96, 384, 960)):
        bands, frame = bands_of((6, width, channels), stride)
        reach = bands.reach
        walk = Walk.of(frame, bands, dual=False)
        if walk is None:
            continue
        out_width = frame.output_shape[2]
        blocks = out_width // 2
        rounds, rest = divmod(blocks, walk.unrolled)
        straight = max(blocks if rounds <= 1 else walk.unrolled, (blocks if rounds <= 1 else rest) + out_width % 2)
        assert -walk.bias >= -1020
        assert reach + 32 * stride * straight - walk.bias <= 1020
        row = out_width * channels
        assert row - walk.far + (2 * straight - 1) * channels <= 4095
        assert walk.far == 0 or walk.far % 2 ** max(0, walk.far.bit_length() - 8) == 0


def test_layers_that_are_out_of_reach_take_another_kernel() -> None:
    """LDRD reaches 2,040 bytes, two columns are 32, LDR twice as many."""
    site = layer(DepthwiseConv2D((1, 1), (1, 1), SAME), (1, 4, 130, 4), (1, 3, 3, 4), 3, 0)
    assert depthwise_strips(site, M4) is None
    assert depthwise_strips(site, M7) is not None


@pytest.mark.parametrize(
    ("name", "kinds"), [("a loop along a row", ("both", "upper", "lower")), ("one pixel", ("upper",))]
)
def test_bands_at_edges_have_packing_functions_of_their_own(name: str, kinds: tuple[str, ...]) -> None:
    frame = frame_of(name)
    packing = Packing.of(frame, Bands.of(frame), frame.needed)
    assert packing is not None
    assert packing.kinds == kinds

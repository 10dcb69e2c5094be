"""Kernels for cores with the DSP extension: their portable twins against the definitions, sharing memory as declared.

The assembly is compared with LiteRT in QEMU by tests/e2e.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cores import core_named
from tests.support.host_kernel import compile_for_arm
from tests.support.kernel_checks import M7, check, check_all, check_cases, check_if_taken, int8, site_of
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Quantization, Site, TensorType
from tinycompile.kernels import winograd as f2
from tinycompile.kernels import winograd4 as f4
from tinycompile.kernels.depthwise_bands import depthwise_bands
from tinycompile.kernels.depthwise_pairs import depthwise
from tinycompile.kernels.depthwise_rows import depthwise_rows
from tinycompile.kernels.depthwise_strips import depthwise_strips
from tinycompile.kernels.depthwise_tiles import tile_width, tiled
from tinycompile.kernels.dual_rows import fully_connected_dual
from tinycompile.kernels.lane import fully_connected, fully_connected_direct, lane_offset, pack_words
from tinycompile.kernels.lane_conv2d import Blocks, conv2d, conv2d_short_rows, conv2d_small, conv2d_straight
from tinycompile.kernels.lane_pointwise import blocks_of, conv2d_pointwise
from tinycompile.kernels.lane_straight import Straight
from tinycompile.kernels.lane_strip import Order, Row, Strip, conv2d_strip, conv2d_strip_straight
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

quick = settings(max_examples=8, deadline=None, derandomize=True)
fewer = settings(max_examples=5, deadline=None, derandomize=True)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(*[st.integers(0, 2)] * 4)
images = st.tuples(st.integers(1, 8), st.integers(1, 9))
clamps = st.sampled_from([(-128, 127), (-60, 70), (0, 127)])


def layer(op: Conv2D | DepthwiseConv2D, x: tuple[int, ...], shape: tuple[int, ...], axis: int, seed: int) -> Site:
    rng = np.random.default_rng(seed)
    channels = shape[axis]
    values = np.clip(np.round(rng.normal(0, 40, shape)), -127, 127).astype(np.int8)
    scales = rng.uniform(0.002, 0.006, channels).astype(np.float32)
    types = [TensorType(shape, INT8, Quantization(scales, np.zeros(channels, np.int64), axis))]
    types.append(TensorType((channels,), INT32))
    bias = rng.integers(-3000, 3000, channels).astype(np.int32)
    depth = values.size // channels
    zero_point = -128 if op.clamp == (-128, 127) and seed % 2 else 5
    y = int8((), 0.05 * 0.004 * 38 * 73 * depth**0.5 * 3 / 127, zero_point)
    return site_of(op, [int8(x, 0.05, int(rng.integers(-128, 128))), *types], [None, values, bias], y)


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_lane_convolution(kernel, stride, dilation, padding, clamp, depth, channels, seed):
    op = Conv2D(stride, dilation, padding, clamp)
    site = layer(op, (1, 7, 8, depth), (channels, *kernel, depth), 0, seed)
    factories = (conv2d, conv2d_small, conv2d_short_rows, conv2d_strip)
    check_cases([(factory, site) for factory in factories if factory(site, M7) is not None])


@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("factory", [conv2d, conv2d_small])
def test_lane_convolution_of_few_pixels(factory, channels):
    op, sites = Conv2D((1, 1), (1, 1), (0, 0, 0, 0)), list[Site]()
    for pixels in (1, 2, 3, 5, 6, 7, 9):
        sites.append(layer(op, (1, 1, pixels, 6), (channels, 1, 1, 6), 0, pixels))
        sites.append(layer(op, (1, 3, pixels + 2, 3), (channels, 3, 3, 3), 0, pixels))
    check_all(factory, sites)


def test_functions_made_for_a_layer_are_for_pairs_of_channels_within_reach():
    for image, kernel in (((1, 4, 6), (1, 1, 1, 6)), ((3, 4, 3), (1, 3, 3, 3))):
        site = layer(Conv2D(padding=(0, 0, 0, 0)), (1, *image), kernel, 0, 0)
        assert conv2d_straight(site, M7) is None
        assert conv2d_strip_straight(site, M7) is None
    assert [Straight.of(Blocks.of(8).counts, 3, channels) for channels in (1, 1365)] == [{}, {}]


def test_functions_are_made_for_blocks_that_are_many():
    made = [set(Straight.of(Blocks.of(pixels).counts, 3, 8)) for pixels in (4, 9, 25, 100, 27, 2)]
    assert made == [{4}, {3}, {3, 4}, {4}, {4}, {3}]


@pytest.mark.parametrize(("width", "depth", "made"), [(8, 3, True), (9, 3, False), (8, 10, False), (680, 3, False)])
def test_a_row_of_blocks_has_a_function_of_its_own(width, depth, made):
    """Unless a block may lie in two rows, the function becomes too long, or a window's rows are too far apart."""
    op = Conv2D(padding=(1, 1, 1, 1))
    site = layer(op, (1, 4, width, depth), (4, 3, 3, depth), 0, 0)
    order = Order(3, 3 * depth)
    row = Row.of(site, op, order, Strip.of(site, op, 4), Straight(4, -(-9 * depth // 4), 4), M7)
    assert (row is not None) == made


def test_the_last_word_of_a_pixel_reaches_into_the_next_one():
    """So there is a next one for every block of 4, unless pixels are whole words."""
    for pixels in range(4, 60):
        blocks = blocks_of(pixels, 5)
        if blocks is not None:
            assert (4 * blocks.fours + 3 * blocks.threes, blocks.rest) == (pixels, 0)
            assert blocks.threes > 0 < blocks.fours
    assert blocks_of(8, 8) == Blocks(2, 0, 0)
    assert [blocks_of(pixels, depth) for pixels, depth in ((8, 5), (9, 4), (2, 4))] == [None, None, None]


@pytest.mark.parametrize(
    ("op", "image", "depth", "channels"),
    [(Conv2D((2, 1)), (8, 4), 8, 4), (Conv2D(padding=(0, 1, 0, 0)), (7, 4), 8, 4)]
    + [(Conv2D(), (4, 4), 84, 4), (Conv2D(), (4, 4), 8, 1), (Conv2D(), (3, 3), 8, 4)],
    ids=["stride", "padding", "inputs", "channel", "pixels"],
)
def test_other_layers_have_no_pointwise_kernel(op, image, depth, channels):
    assert conv2d_pointwise(layer(op, (1, *image, depth), (channels, 1, 1, depth), 0, 0), M7) is None


def test_unaligned_pixels_are_dear_where_words_must_be_aligned():
    site = layer(Conv2D(), (1, 4, 5, 6), (4, 1, 1, 6), 0, 0)
    assert conv2d_pointwise(site, replace(M7, strict=True)).instructions > 10 * conv2d_pointwise(site, M7).instructions


def test_straight_convolution():
    check(conv2d_pointwise, layer(Conv2D(clamp=(-60, 70)), (1, 4, 5, 6), (5, 1, 1, 6), 0, 0))
    check(conv2d_straight, layer(Conv2D(padding=(0, 1, 1, 0)), (1, 5, 4, 6), (5, 2, 2, 6), 0, 0))
    check(conv2d_strip_straight, layer(Conv2D(padding=(1, 1, 1, 1)), (1, 9, 8, 3), (5, 3, 3, 3), 0, 1))


@pytest.mark.parametrize("factory", [conv2d_small, conv2d_short_rows])
def test_variants_of_the_lane_convolution_take_less_scratch(factory):
    site = layer(Conv2D((2, 2), (1, 1), (4, 5, 1, 1)), (1, 12, 10, 1), (6, 10, 4, 1), 0, 0)
    assert check(factory, site).scratch_bytes < check(conv2d, site).scratch_bytes


@pytest.mark.parametrize(
    ("image", "window", "stride", "padding", "moves"),
    [
        ((49, 10, 1), (10, 4), (2, 2), (4, 5, 1, 1), True),
        ((40, 9, 3), (3, 3), (1, 2), (1, 1, 1, 0), True),
        ((40, 3, 2), (5, 1), (3, 1), (0, 4, 0, 0), True),
        ((6, 7, 4), (2, 3), (2, 1), (0, 1, 2, 2), False),
    ],
)
def test_windows_with_short_rows_are_read_from_a_padded_strip(image, window, stride, padding, moves):
    site = layer(Conv2D(stride, (1, 1), padding), (1, *image), (5, *window, image[2]), 0, 1)
    assert check(conv2d_strip, site).variant == "conv2d_strip"
    assert Strip.of(site, site.node.op, 4).moves == moves


@pytest.mark.parametrize("segment", range(1, 13))
@pytest.mark.parametrize("rows", [1, 2, 3, 10])
def test_a_strip_takes_every_byte_of_a_window_once(rows, segment):
    order = Order(rows, segment)
    taken = order.taken()
    assert np.array_equal(np.sort(taken[taken >= 0]), np.arange(rows * segment))
    assert taken.size == 4 * (rows * order.words + (-(-rows * order.after // 4)))


@pytest.mark.parametrize("inputs", [4, 8, 12, 20, 28, 64])
def test_rows_of_a_multiple_of_four_need_no_scratch(inputs):
    op = Conv2D((1, 1), (1, 1), (0, 0, 0, 0), (-60, 70))
    kernel = check(fully_connected_direct, layer(op, (1, 2, 3, inputs), (5, 1, 1, inputs), 0, inputs))
    assert kernel.scratch_bytes == 0


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 1), (5, 4), (8, 4), (15, 3), (3002, 9)])
@pytest.mark.parametrize("clamp", [(-128, 127), (-60, 70)])
def test_dual_products_of_large_sums_and_of_few_outputs(inputs, outputs, clamp):
    op = Conv2D((1, 1), (1, 1), (0, 0, 0, 0), clamp)
    site = layer(op, (1, 2, 3, inputs), (outputs, 1, 1, inputs), 0, inputs)
    check(fully_connected_dual, site)


def test_dual_products_are_not_offered_where_byte_lanes_take_half_the_flash():
    op = Conv2D((1, 1), (1, 1), (0, 0, 0, 0))
    assert fully_connected_dual(layer(op, (1, 2, 3, 16), (5, 1, 1, 16), 0, 0), M7) is None
    assert fully_connected_dual(layer(op, (1, 2, 3, 3), (4, 1, 1, 3), 0, 0), M7) is None


def test_lane_convolution_enters_its_loop_for_every_depth():
    op, depths = Conv2D((1, 1), (1, 1), (0, 0, 0, 0)), (1, 4, 8, 12, 16, 20, 24, 44)
    check_all(conv2d, [layer(op, (1, 2, 3, n), (4, 1, 1, n), 0, n) for n in depths])


def test_pixels_are_divided_into_full_blocks():
    for pixels in range(1, 60):
        blocks = Blocks.of(pixels)
        assert sum(blocks.sizes) == pixels
        assert (blocks.rest > 0) == (pixels in (1, 2, 5))


@pytest.mark.parametrize(
    ("image", "window"), [((1, 3, 4, 5), (7, 1, 1, 5)), ((1, 3, 4, 5), (7, 3, 4, 5)), ((1, 1, 1, 9), (8, 1, 1, 9))]
)
def test_convolutions_that_are_matrix_products_run_as_rows(image, window):
    op = Conv2D((1, 1), (1, 1), (0, 0, 0, 0))
    assert check(fully_connected, layer(op, image, window, 0, 1)).variant == "fully_connected_lane"


def test_a_convolution_with_another_window_does_not_run_as_rows():
    padded = Conv2D((1, 1), (1, 1), (1, 0, 0, 0))
    strided = Conv2D((2, 1), (1, 1), (0, 0, 0, 0))
    assert fully_connected(layer(padded, (1, 3, 4, 5), (7, 1, 1, 5), 0, 1), M7) is None
    assert fully_connected(layer(strided, (1, 3, 4, 5), (7, 1, 1, 5), 0, 1), M7) is None


@pytest.mark.parametrize("clamp", [(-128, 127), (-60, 70), (0, 127)])
@pytest.mark.parametrize("seed", [0, 1])
def test_lane_pointwise_takes_every_usual_layer(clamp, seed):
    op = Conv2D((1, 1), (1, 1), (0, 0, 0, 0), clamp)
    kernel = check(conv2d, layer(op, (1, 5, 7, 12), (10, 1, 1, 12), 0, seed))
    assert kernel.notes["requantisation"].startswith("smmla")


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 9), st.integers(0, 99))
def test_depthwise_pairs(kernel, stride, dilation, padding, clamp, channels, seed):
    op = DepthwiseConv2D(stride, dilation, padding, clamp)
    site = layer(op, (1, 7, 8, channels), (1, *kernel, channels), 3, seed)
    check_if_taken(depthwise, site)


@fewer
@given(images, paddings, clamps, st.integers(1, 9), st.integers(2, 9), st.integers(0, 99))
def test_winograd(image, padding, clamp, depth, channels, seed):
    if min(image[0] + padding[0] + padding[1], image[1] + padding[2] + padding[3]) >= 3:
        site = layer(Conv2D((1, 1), (1, 1), padding, clamp), (1, *image, depth), (channels, 3, 3, depth), 0, seed)
        check_if_taken(f2.winograd, site)


wide_paddings = st.tuples(*[st.sampled_from([0, 1, 2, 19])] * 4)


@fewer
@given(images, wide_paddings, clamps, st.integers(1, 3), st.integers(2, 9), st.integers(0, 99))
def test_winograd4(image, padding, clamp, words, channels, seed):
    """Images up to several blocks, windows that see nothing but padding."""
    height, width = image[0] * 2, image[1] * 2
    op = Conv2D((1, 1), (1, 1), padding, clamp)
    if min(height + padding[0] + padding[1], width + padding[2] + padding[3]) >= 3:
        site = layer(op, (1, height, width, 4 * words), (channels, 3, 3, 4 * words), 0, seed)
        check_if_taken(*((f4.winograd4, site, M7), (f4.winograd4_halves, site, core_named("cortex-m3")))[seed % 2])


@pytest.mark.parametrize(
    ("factory", "image", "seed"),
    [(f2.winograd, (6, 16), 0), (f2.winograd, (6, 16), 1), (f4.winograd4, (6, 16), 0), (f4.winograd4, (8, 8), 1)],
)
def test_winograd_takes_the_usual_layer(factory, image, seed):
    site = layer(Conv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, *image, 8), (6, 3, 3, 8), 0, seed)
    assert check(factory, site).notes["requantisation"].startswith("smmla")


def test_sums_need_room_for_winograds_factor():
    """576 |acc| < 2^31: 64 channels of weights of 127 have sums up to 18.7 million, 8 channels up to 2.3 million."""
    for depth, taken in ((8, True), (64, False)):
        site = layer(Conv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 8, 8, depth), (4, 3, 3, depth), 0, 0)
        weights = np.full(site.sig.inputs[1].shape, 127, np.int8)
        site = replace(site, constants=(None, weights, site.constants[2]))
        assert (f4.winograd4(site, M7) is not None) == taken


@pytest.mark.parametrize(
    ("transformed", "b", "a", "factor"),
    [
        (
            f2.transformed,
            [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
            [[1, 1, 1, 0], [0, 1, -1, -1]],
            4,
        ),
        (
            f4.transformed,
            [
                [4, 0, -5, 0, 1, 0],
                [0, -4, -4, 1, 1, 0],
                [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0],
                [0, 2, -1, -2, 1, 0],
                [0, 4, 0, -5, 0, 1],
            ],
            [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 4]],
            576,
        ),
    ],
)
def test_winograd_weights_reproduce_the_convolution(transformed, b, a, factor):
    rng, a, b = np.random.default_rng(0), np.array(a), np.array(b)
    size, out = len(b), len(a)
    weights, tile = rng.integers(-128, 128, (1, 3, 3, 1)), rng.integers(-128, 128, (size, size))
    product = transformed(weights).reshape(size, size) * (b @ tile @ b.T)
    direct = [[np.sum(tile[y : y + 3, x : x + 3] * weights[0, :, :, 0]) for x in range(out)] for y in range(out)]
    np.testing.assert_array_equal(a @ product @ a.T, factor * np.array(direct))
    extreme = transformed(np.sign(np.random.default_rng(1).normal(size=(999, 3, 3, 1))).astype(np.int64) * 128)
    assert np.abs(extreme).max() < 2**15
    rows = np.stack([np.maximum(b, 0).sum(axis=1), np.minimum(b, 0).sum(axis=1)])
    products = np.einsum("ai,bj->abij", rows, rows)
    highest = np.maximum(products[0, 0] + products[1, 1], -(products[0, 1] + products[1, 0]))
    assert highest.max() * 255 < 2**15


windows = st.tuples(st.integers(1, 3), st.integers(1, 3))


@quick
@given(windows, images, st.sampled_from([1, 2]), paddings, clamps, st.integers(4, 9), st.integers(0, 99))
def test_depthwise_rows(window, image, stride, padding, clamp, channels, seed):
    op = DepthwiseConv2D((stride, stride), (1, 1), padding, clamp)
    if min(image[0] + padding[0] + padding[1] - window[0], image[1] + padding[2] + padding[3] - window[1]) >= 0:
        site = layer(op, (1, *image, channels), (1, *window, channels), 3, seed)
        check_if_taken(depthwise_rows, site)


@quick
@given(
    windows,
    st.tuples(st.integers(1, 8), st.integers(1, 21)),
    st.sampled_from([1, 2]),
    paddings,
    clamps,
    st.integers(4, 9),
    st.sampled_from([0, 2, 4, 8]),
    st.integers(0, 99),
)
def test_depthwise_tiles(window, image, stride, padding, clamp, channels, widest, seed):
    op = DepthwiseConv2D((stride, stride), (1, 1), padding, clamp)
    if min(image[0] + padding[0] + padding[1] - window[0], image[1] + padding[2] + padding[3] - window[1]) >= 0:
        site = layer(op, (1, *image, channels), (1, *window, channels), 3, seed)
        check_if_taken(tiled(widest), site)


def test_tiles_cover_the_row_evenly():
    for out_width in range(1, 70):
        for widest in (2, 4, 8, 16, 70):
            width = tile_width(out_width, widest)
            assert width % 2 == 0
            assert width <= widest + 1
            assert -(-out_width // width) <= -(-out_width // widest)


larger_windows = st.tuples(st.integers(1, 8), st.integers(1, 7))
larger_paddings = st.tuples(*[st.integers(0, 4)] * 4)


@quick
@given(
    larger_windows,
    images,
    pairs,
    st.sampled_from([1, 2]),
    larger_paddings,
    clamps,
    st.integers(4, 9),
    st.integers(0, 99),
)
def test_depthwise_bands(window, image, dilation, stride, padding, clamp, channels, seed):
    op = DepthwiseConv2D((stride, stride), dilation, padding, clamp)
    reach = [(size - 1) * d + 1 for size, d in zip(window, dilation, strict=True)]
    if min(image[0] + padding[0] + padding[1] - reach[0], image[1] + padding[2] + padding[3] - reach[1]) >= 0:
        site = layer(op, (1, *image, channels), (1, *window, channels), 3, seed)
        check_if_taken(depthwise_bands, site)


@pytest.mark.parametrize(("depth", "multiplier"), [(4, 2), (7, 3), (8, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_rows_make_several_channels_of_one(depth, multiplier, stride):
    op = DepthwiseConv2D((stride, stride), (1, 1), (1, 0, 0, 1), (-60, 70))
    check(depthwise_rows, layer(op, (1, 6, 9, depth), (1, 3, 3, depth * multiplier), 3, depth))


@pytest.mark.parametrize("kernel", [depthwise_rows, depthwise_bands])
def test_depthwise_from_vertical_pairs_works_in_place(kernel):
    sites = [
        layer(DepthwiseConv2D((1, 1), (1, 1), padding), (1, 15, 7, channels), (1, 3, 3, channels), 3, 1)
        for padding, channels in product([(1, 1, 1, 1), (2, 0, 0, 2), (0, 2, 2, 0)], (4, 7, 12))
    ]
    assert all(found.in_place for found in check_all(kernel, sites))


def test_depthwise_bands_of_another_size_are_not_in_place():
    site = layer(DepthwiseConv2D((1, 1), (1, 1), (0, 1, 1, 1)), (1, 5, 7, 8), (1, 3, 3, 8), 3, 1)
    assert not check(depthwise_bands, site).in_place


@pytest.mark.parametrize(("kernel", "heights"), [(depthwise_rows, (3, 8)), (depthwise_strips, (5, 24))])
def test_depthwise_of_some_rows_ends_where_these_end(kernel, heights):
    cases = [(*ends, height) for ends in [(0, 0, 2), (0, 1, 1), (0, 2, 0), (1, 0, 0), (2, 0, 0)] for height in heights]
    sites = [
        layer(DepthwiseConv2D((1, 1), (1, 1), (above, below, 1, 1)), (1, height, 7, 8), (1, 3, 3, 8), 3, 1)
        for above, below, _, height in cases
    ]
    for (_, _, rows, _), found in zip(cases, check_all(kernel, sites), strict=True):
        assert found.distances == {0: -rows * 7 * 8}


def test_depthwise_rows_of_shorter_or_more_rows_are_not_in_place():
    for padding in ((0, 0, 0, 1), (2, 1, 1, 1)):
        site = layer(DepthwiseConv2D((1, 1), (1, 1), padding), (1, 5, 7, 8), (1, 3, 3, 8), 3, 1)
        assert not check(depthwise_rows, site).in_place


def test_words_hold_two_lanes_of_two_weights():
    (word,) = pack_words(np.array([[1, 2, -3, 4]]))[0].view(np.uint32)
    assert (word & 0xFFFF, word >> 16) == (2 * 256 + 1, 4 * 256 - 3)
    assert lane_offset(np.array([[1, 2, -3, 4]])).tolist() == [-256 * 127 * 6]


def test_a_weight_of_minus_128_may_not_fit_a_lane():
    assert pack_words(np.array([[-1, -128, 0, 0]])) is None
    assert pack_words(np.array([[-128, 127, -128, 127]])) is not None


def test_other_cores_get_the_portable_kernels():
    site = layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0)), (1, 4, 4, 8), (8, 1, 1, 8), 0, 0)
    assert conv2d(site, core_named("cortex-m3")) is None


@pytest.mark.parametrize("optimize", ["-O0", "-O2", "-O3", "-Os"])
def test_the_assembly_compiles_at_every_level(optimize):
    site = layer(Conv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 6, 6, 5), (7, 3, 3, 5), 0, 0)
    compile_for_arm(conv2d(site, M7), "cortex-m4", optimize)
    site = layer(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 6, 6, 8), (1, 3, 3, 8), 3, 0)
    compile_for_arm(depthwise(site, M7), "cortex-m4", optimize)

"""Helium kernels: portable C on the host, MVE in QEMU's Cortex-M55, against the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_assembly import dense
from tests.kernels.test_batch_matmul import product
from tests.kernels.test_dsp import clamps, layer, paddings, pairs, quick
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.full import some
from tests.support.kernel_checks import check, check_all, check_if_taken, int8, random_values, site_of
from tinycompile.dtypes import FLOAT32, INT8, UINT8
from tinycompile.ir import Array, Quantization, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.elementwise import table
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.mve import Rows, channel_stream, conv2d, fully_connected
from tinycompile.kernels.mve_depthwise import TILE, Strips, depthwise, tiled_taps
from tinycompile.kernels.mve_elementwise import add
from tinycompile.kernels.mve_float_edges import dequantize, quantize
from tinycompile.kernels.mve_matrix import mve_matrix
from tinycompile.kernels.onnx_ops import onnx_softmax
from tinycompile.kernels.softmax import softmax_table
from tinycompile.kernels.vector_requant import VectorRequant
from tinycompile.ops._spatial import Window
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub

M55 = core_named("cortex-m55", dsp=True, mve=True, fpu=True)
ONE, NONE = (1, 1), (0, 0, 0, 0)
SCALE = np.float32(0.0371)


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 20), st.integers(1, 9), st.integers(0, 99))
def test_convolution(kernel, stride, dilation, padding, clamp, depth, channels, seed):
    op = Conv2D(stride, dilation, padding, clamp)
    site = layer(op, (1, 7, 8, depth), (channels, *kernel, depth), 0, seed)
    check_if_taken(conv2d, site, M55)


@pytest.mark.parametrize(("depth", "channels", "pixels"), [(16, 5, 1), (16, 16, 2), (32, 8, 7), (48, 50, 4)])
def test_pointwise_reads_the_image_itself(depth, channels, pixels):
    site = layer(Conv2D(ONE, ONE, NONE), (1, 1, pixels, depth), (channels, 1, 1, depth), 0, pixels)
    assert check(conv2d, site, M55).scratch_bytes == 0


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 35), st.integers(1, 3), st.integers(0, 99))
def test_depthwise(kernel, stride, dilation, padding, clamp, channels, multiplier, seed):
    op = DepthwiseConv2D(stride, dilation, padding, clamp)
    site = layer(op, (1, 7, 8, channels), (1, *kernel, channels * multiplier), 3, seed)
    check_if_taken(depthwise, site, M55)


@pytest.mark.parametrize(("window", "multiplier"), [((5, 5), 1), ((7, 7), 3), ((4, 9), 1), ((9, 4), 2), ((1, 5), 1)])
def test_depthwise_windows_of_several_tiles(window, multiplier):
    op = DepthwiseConv2D((1, 2), ONE, (2, 3, 4, 1))
    check(depthwise, layer(op, (1, 11, 12, 18), (1, *window, 18 * multiplier), 3, 5), M55)


def test_depthwise_of_one_input_channel_is_a_convolution():
    check(conv2d, layer(DepthwiseConv2D((2, 2), ONE, (4, 5, 3, 3)), (1, 12, 9, 1), (1, 10, 8, 8), 3, 1), M55)


@pytest.mark.parametrize(("depth", "reason"), [(8, "windows fill 50% of vectors of 16 bytes"), (13, None)])
def test_the_report_says_where_vectors_are_half_empty(depth, reason):
    site = layer(Conv2D(ONE, ONE, NONE), (1, 1, 6, depth), (4, 1, 1, depth), 0, 0)
    kernel = conv2d(site, M55)
    assert kernel is not None and kernel.notes.get("reason") == reason


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (16, 8), (37, 19), (640, 6)])
def test_fully_connected(inputs, outputs):
    check_all(fully_connected, [dense(inputs, outputs, rows, (-128, 127), 0) for rows in (1, 2, 3)], M55)


@pytest.mark.parametrize(("inputs", "outputs", "pre"), [(20, 5, False), (16, 4, True)])
def test_the_stream_holds_groups_of_16_taps_of_4_channels(inputs, outputs, pre):
    site = layer(Conv2D(ONE, ONE, NONE), (1, 1, 2, inputs), (outputs, 1, 1, inputs), 0, 0)
    linear = LinearLayer.of(site if pre else dense(inputs, outputs, 2, (-128, 127), 0))
    requant = VectorRequant.of(linear)
    assert requant is not None and (requant.pre > 0) == pre
    rows = Rows(2, inputs // 2)
    blocks = channel_stream(linear.matrix, rows, requant).reshape(-(-outputs // 4), -1)
    words = 16 * rows.rows * rows.groups
    weights = (blocks[:, :words] if pre else blocks[:, 4 : 4 + words]).copy().view(np.int8)
    weights = weights.reshape(-1, 2, rows.groups, 4, 16).transpose(0, 3, 1, 2, 4).reshape(-1, 2, 16 * rows.groups)
    assert np.array_equal(weights[:outputs, :, : rows.bytes].reshape(outputs, inputs), linear.matrix)
    assert not weights[outputs:].any() and not weights[:, :, rows.bytes :].any()
    start = blocks[:, words : words + 4] if pre else blocks[:, :4]
    assert np.array_equal(start.ravel()[:outputs], requant.plan.start)


def test_depthwise_taps_stand_column_by_column():
    packed = tiled_taps(np.arange(1, 11).reshape(1, 5, 2)).view(np.int8).reshape(2, 2, 4)
    assert packed.tolist() == [[[1, 3, 5, 7], [2, 4, 6, 8]], [[9, 0, 0, 0], [10, 0, 0, 0]]]


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 25])
@pytest.mark.parametrize(
    ("kernel", "stride", "band", "bands"), [((3, 3), (1, 1), 2, 1), ((5, 6), (2, 3), 1, 3), ((7, 2), (1, 1), 2, 3)]
)
def test_strips_have_places_for_every_output(height, kernel, stride, band, bands):
    """Each output once or more, from the words of its own window."""
    if band > height:
        return
    window = Window(kernel, stride, (1, 1), (0, 0, 0, 0))
    x, y = int8((1, (height - 1) * stride[0] + kernel[0], 4 * stride[1] + kernel[1], 3)), int8((1, height, 5, 3))
    strips = Strips(window, Signature((x,), (y,)), band, band * bands, False)
    assert strips.last_rows >= band and (strips.count - 1) * strips.rows + strips.last_rows == height
    record, places = 8 // band + 4, strips.places()[TILE * strips.tiles if strips.tiles > 1 else 0 :]
    for rows in dict.fromkeys([*[strips.rows] * (strips.count > 1), strips.last_rows]):
        count = strips.blocks(rows)
        taken, places = places[: count * record].reshape(count, record), places[count * record :]
        offsets = np.ascontiguousarray(taken[:, -4:]).view(np.uint16).astype(int)
        assert set(offsets.ravel().tolist()) == set(range(0, rows * 5 * 3, 3))
        words = taken[:, : 8 // band].astype(int) // strips.column_bytes
        first = np.arange(rows)[::band] if rows % band == 0 else np.minimum(np.arange(0, rows, band), rows - band)
        position = offsets[:, ::2] if band == 2 else offsets.reshape(count, 4, 2).transpose(0, 2, 1).reshape(count, 8)
        row, column = np.divmod(position // 3, 5)
        at, along = np.divmod(words, strips.columns)
        assert np.array_equal(first[at // strips.row_tiles], row) and np.array_equal(along, column * stride[1])


def cases() -> list[tuple[Factory, Site]]:
    """Taps beside a multiple of 16, channels beside one of 4 and 16, odd pixels, every kind of window, clamp, line."""
    found: list[tuple[Factory, Site]] = [
        (fully_connected, dense(37, 19, 2, (-128, 127), 0)),
        (fully_connected, dense(64, 8, 1, (-60, 70), 1)),
    ]
    for seed, (window, depth, channels, stride, dilation, padding) in enumerate(
        [
            ((1, 1), 64, 6, ONE, ONE, NONE),
            ((1, 1), 20, 5, (2, 2), ONE, NONE),
            ((3, 3), 3, 8, ONE, ONE, (1, 1, 1, 1)),
            ((3, 3), 16, 17, (2, 2), ONE, (0, 1, 0, 1)),
            ((3, 2), 4, 34, (1, 2), (2, 1), (2, 0, 1, 3)),
            ((1, 4), 5, 3, (2, 1), (1, 2), (0, 0, 2, 2)),
            ((5, 7), 2, 18, ONE, ONE, (2, 2, 3, 3)),
            ((10, 4), 1, 8, (2, 2), ONE, (4, 5, 1, 1)),
        ]
    ):
        clamp = [(-128, 127), (-60, 70), (0, 127)][seed % 3]
        op = Conv2D(stride, dilation, padding, clamp)
        found.append((conv2d, layer(op, (1, 11, 9, depth), (channels, *window, depth), 0, seed)))
        spatial = DepthwiseConv2D(stride, dilation, padding, clamp)
        outputs = channels * (1 + seed % 2)
        found.append((depthwise, layer(spatial, (1, 11, 9, channels), (1, *window, outputs), 3, seed)))
    for zero_point, dtype, ties in [
        (-3, INT8, "away"),
        (4, UINT8, "away"),
        (0, INT8, "away"),
        (9, INT8, "even"),
        (200, UINT8, "even"),
    ]:
        kind = Quantization.per_tensor(float(SCALE), zero_point)
        floats, eight = TensorType((1, 1501), FLOAT32), TensorType((1, 301), dtype, kind)
        found.append((quantize, site_of(Quantize(dtype, ties), [floats], [None], eight)))
        found.append((dequantize, site_of(Dequantize(), [eight], [None], floats)))
    for op, clamp in [(Add, (-128, 127)), (Sub, (-60, 70)), (Add, (0, 127))]:
        shapes = [int8((3, 7 + clamp[0] % 5), scale, zero_point) for scale, zero_point in [(0.0685, 3), (0.0784, -7)]]
        found.append((add, site_of(op(clamp), shapes, [None, None], int8((), 0.0825, -5))))
    found += [
        (mve_matrix, product(((2,), (2,)), (5, 37, 9), (False, False), (3, -7, 5))),
        (mve_matrix, product(((2,), ()), (1, 230, 3), (True, True), (-128, 127, 0))),
    ]
    for shape, scale in [((5, 37), 0.05), ((4, 16), 3.0), ((32, 3), 1e-6), ((70, 1), 0.1), ((1, 4095), 0.0001)]:
        scores = int8(shape, scale, 4)
        found.append((softmax_table, site_of(Softmax(), [scores], [None], int8((), 1 / 256, -128))))
        for zero_point in (-128, 5):
            site = site_of(Softmax(rule="onnx"), [scores], [None], int8((), 1 / 200, zero_point))
            found.append((onnx_softmax, site))
    found.append((table, site_of(Logistic(), [int8((1, 45))], [None], int8((), 1 / 256, -128))))
    return found


def values(t: TensorType, rng: np.random.Generator) -> Array:
    """Of floats those around halves of a step, any others, and the ends of what has an int32."""
    if t.dtype != FLOAT32:
        return random_values(t, rng)
    ties = ((rng.integers(-300, 300, t.shape) + 0.5) * np.float64(SCALE)).astype(np.float32)
    ties = (ties.view(np.int32) + rng.integers(-3, 4, t.shape).astype(np.int32)).view(np.float32)
    any_bits = rng.integers(0, 2**32, t.shape, np.uint32).view(np.float32)
    found = np.where(rng.random(t.shape) < 0.8, ties, any_bits)
    large = SCALE * np.float32(2.0) ** 31
    ends = [large, np.nextafter(large, np.float32(0)), np.float32(2**31 - 128) * SCALE, np.inf, 3e38, 1e-45, 0]
    found[0, :16] = [*ends, *np.negative(ends), np.nan, np.uint32(0x7FA00000).view(np.float32)]
    return found


def test_on_the_m55():
    check_emulated(cases(), "mps3-an547", values_of=values)


@pytest.mark.parametrize("factory", [quantize, dequantize, add])
def test_elements_on_the_host(factory):
    check(factory, next(site for kind, site in cases() if kind is factory), M55)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_vectors_take_no_scale_with_which_quotients_are_subnormal_or_infinite(scale):
    eight = int8((1, 100), scale)
    floats = TensorType((1, 100), FLOAT32)
    assert quantize(site_of(Quantize(INT8), [floats], [None], eight), M55) is None
    assert dequantize(site_of(Dequantize(), [eight], [None], floats), M55) is None


@pytest.mark.parametrize("flags", [("-O1",), ("-Os",), ("-O3",), ("-O2", "-DTC_PORTABLE")])
def test_other_ways_to_compile(flags):
    check_emulated(some(cases()), "mps3-an547", *flags, values_of=values)

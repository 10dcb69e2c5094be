"""Operators that move data, and the float edges, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, check_all, int8, site_of
from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8
from tinycompile.ir import Quantization, TensorType
from tinycompile.kernels.float_edges import dequantize, dequantize_table, quantize, quantize_search
from tinycompile.kernels.float_thresholds import float_thresholds
from tinycompile.kernels.movement import concatenation, identity, pad, pad_axes, reshape, resize_nearest
from tinycompile.kernels.softmax import reciprocals_may_be_even, softmax_computed, softmax_table
from tinycompile.kernels.transposition import transpose, transpose_by_words
from tinycompile.numerics.fixed_point import rounding_divide_by_pot, saturating_rounding_doubling_high_mul
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.identity import Identity
from tinycompile.ops.pad import Pad
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.transpose import Transpose


def float_type(shape):
    return TensorType(shape, FLOAT32)


@pytest.mark.parametrize("constant", [None, np.arange(23, dtype=np.int8)])
def test_identity(constant):
    kernel = check(identity, site_of(Identity(), [int8((23,))], [constant], int8(())))
    assert kernel.alias_of is None
    check(identity, site_of(Identity(), [float_type((1, 9))], [None], float_type(())))


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_concatenation(axis):
    shapes = [tuple(size if i == axis else n for i, n in enumerate((2, 3, 4, 5))) for size in (2, 1, 3)]
    constants = [None, np.arange(np.prod(shapes[1])).reshape(shapes[1]).astype(np.int8), None]
    check(concatenation, site_of(Concatenation(axis), [int8(s) for s in shapes], constants, int8(())))


@pytest.mark.parametrize(
    "amounts",
    [
        ((0, 0), (1, 2), (3, 0), (0, 0)),
        ((0, 0), (0, 0), (0, 0), (1, 2)),
        ((1, 0), (1, 1), (1, 1), (1, 1)),
        ((0, 0), (0, 0), (0, 0), (0, 0)),
    ],
)
def test_pad(amounts):
    check(pad, site_of(Pad(amounts, -7), [int8((1, 3, 4, 5))], [None], int8(())))


def test_unpadded_axes_are_merged():
    assert pad_axes((1, 3, 4, 5), ((0, 0), (1, 2), (3, 0), (0, 0))) == [(1, 0, 0), (3, 1, 2), (20, 15, 0)]
    assert pad_axes((2, 3), ((0, 0), (0, 0))) == [(6, 0, 0)]


@pytest.mark.parametrize("dtype", [INT8, FLOAT32], ids=str)
@pytest.mark.parametrize("permutation", [(0, 3, 1, 2), (0, 2, 3, 1), (2, 1, 0, 3), (3, 2, 1, 0)])
def test_transpose(permutation, dtype):
    x = TensorType((2, 3, 4, 5), dtype, int8(()).quant if dtype == INT8 else None)
    check(transpose, site_of(Transpose(permutation), [x], [None], x))


@pytest.mark.parametrize(
    "permutation, shape",
    [
        ((0, 2, 3, 1), (2, 3, 4, 5)),
        ((0, 2, 3, 1), (1, 11, 3, 7)),
        ((0, 2, 3, 1), (1, 2, 2, 2)),
        ((0, 3, 1, 2), (1, 3, 7, 6)),
        ((2, 1, 3, 0), (3, 2, 2, 9)),
    ],
)
def test_transpose_by_words(permutation, shape):
    """Lines of any length and number, also apart."""
    check(transpose_by_words, site_of(Transpose(permutation), [int8(shape)], [None], int8(())))


def test_what_is_transposed_by_words():
    taken = [
        transpose_by_words(site_of(Transpose(permutation), [x], [None], x), M7) is not None
        for permutation, x in [
            ((0, 2, 3, 1), int8((1, 3, 8, 8))),
            ((0, 3, 1, 2), int8((1, 8, 8, 4))),
            ((0, 3, 1, 2), int8((1, 8, 8, 3))),
            ((0, 2, 3, 1), TensorType((1, 3, 8, 8), FLOAT32)),
        ]
    ]
    assert taken == [True, True, False, False]


def test_no_code_where_memory_stays():
    site = site_of(Transpose((1, 0, 3, 2)), [int8((1, 1, 6, 1))], [None], int8(()))
    assert transpose(site, M7).alias_of == 0
    assert reshape(site_of(Reshape((2, 3)), [int8((6,))], [None], int8(())), M7).alias_of == 0


@pytest.mark.parametrize(
    "size, options",
    [((6, 10), {}), ((5, 3), {"align_corners": True}), ((7, 9), {"half_pixel_centers": True}), ((2, 2), {})],
)
def test_resize_nearest(size, options):
    op = ResizeNearestNeighbor(size, **options)
    check(resize_nearest, site_of(op, [int8((1, 3, 5, 7))], [None], int8(())))


@pytest.mark.parametrize("factory", [softmax_table, softmax_computed])
def test_softmax(factory):
    rows = [
        ((3, 10), 0.1, 1.0),
        ((1, 2), 0.004, 1.0),
        ((2, 300), 0.02, 1.0),
        ((4, 1), 0.1, 2.0),
        ((1, 4095), 0.0001, 1.0),
        ((1, 12), 3.0, 1.0),
        ((9, 20), 3.0, 1.0),
        ((5, 7), 1e-6, 1.0),
    ]
    y = int8((), 1 / 256, -128)
    check_all(factory, [site_of(Softmax(beta), [int8(x, scale, 4)], [None], y) for x, scale, beta in rows])


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("factory", [softmax_table, softmax_computed])
def test_softmax_of_equal_values(factory, value):
    site = site_of(Softmax(), [int8((1, 500), 0.1)], [None], int8((), 1 / 256, -128))
    x = np.full((1, 500), value, np.int8)
    y = run_kernel(factory(site, M7), [x], site.sig.output, sanitize=True)
    np.testing.assert_array_equal(y, Softmax().evaluate(site.sig, [x])[0])


def test_softmax_of_some_largest_elements():
    """Powers of two are the sums whose reciprocal is the odd one."""
    counts, distances = np.array([1, 2, 4, 64, 65, 512]), np.array([255, 40, 12, 7, 5, 2])
    largest = np.arange(600) < np.repeat(counts, distances.size)[:, None]
    x = np.where(largest, 127, 127 - np.tile(distances, counts.size)[:, None]).astype(np.int8)
    site = site_of(Softmax(), [int8(x.shape, 0.3)], [None], int8((), 1 / 256, -128))
    y = run_kernel(softmax_table(site, M7), [x], site.sig.output, sanitize=True)
    np.testing.assert_array_equal(y, Softmax().evaluate(site.sig, [x])[0])


def test_reciprocals_of_softmax_that_may_be_even():
    """Tables in which 2^31 - 2 does what 2^31 - 1 does for every shift, and those of which it isn't known."""
    half, shifts = 1 << 22, np.arange(23, 32)
    exponentials = np.concatenate([n * half + np.arange(-3, 4) for n in (5, 128, 129, 256, 257, 385, 511)])
    products = [saturating_rounding_doubling_high_mul(exponentials, 2**31 - k)[:, None] for k in (1, 2)]
    first, second = (rounding_divide_by_pot(product, shifts) for product in products)
    differs = np.any(first != second, axis=1)
    assert differs.any()
    for exponential, off in zip(exponentials, differs, strict=True):
        assert not (off and reciprocals_may_be_even(np.array([exponential])))
    assert reciprocals_may_be_even(np.array([2**31 - 1, 3 * half + 2, 0]))


def around_every_step(scale):
    """The three floats nearest to every tie, beyond the range, infinities, NaN."""
    steps = (np.arange(-300, 300, 0.5) * scale).astype(np.float32)
    special = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3e38, -3e38, 1e-45, 0.49999997], np.float32)
    near = [steps, np.nextafter(steps, np.float32(9e9)), np.nextafter(steps, np.float32(-9e9)), special]
    return np.concatenate(near)[None]


@pytest.mark.parametrize("dtype, zero_point", [(INT8, -5), (INT8, -128), (UINT8, 131)])
@pytest.mark.parametrize("scale", [0.1, 0.25, 1 / 255])
def test_quantize_around_every_step(dtype, zero_point, scale):
    x = around_every_step(scale)
    y = TensorType(x.shape, dtype, Quantization.per_tensor(scale, zero_point))
    site = site_of(Quantize(dtype), [float_type(x.shape)], [None], y)
    for kernel, sanitize in (
        (quantize(site, M7), False),
        (quantize(site, M7), True),
        (quantize_search(site, core_named("cortex-m0plus")), True),
    ):
        actual = run_kernel(kernel, [x], y, sanitize=sanitize)
        np.testing.assert_array_equal(actual, Quantize(dtype).evaluate(site.sig, [x])[0])


@pytest.mark.parametrize("ties", ["away", "even"])
def test_thresholds_of_floats(ties):
    """All exponents with some mantissas, NaNs too: within the orders named the results are those of a search."""
    orders = np.arange(-(1 << 31), 1 << 31, 12347, dtype=np.int64).astype(np.int32)
    x = (orders ^ ((orders >> 31) & 0x7FFFFFFF)).view(np.float32)
    for dtype, scale, zero_point in ((INT8, 0.1, -5), (INT8, 3e-39, 0), (UINT8, 3e38, 131), (INT8, 0.3, 127)):
        y, op = TensorType(x.shape, dtype, Quantization.per_tensor(scale, zero_point)), Quantize(dtype, ties=ties)
        site = site_of(op, [float_type(x.shape)], [None], y)
        found = float_thresholds(op, site.sig)
        inside = (orders >= found.first) & (orders <= found.last)
        steps = np.searchsorted(found.orders, orders, side="right") + dtype.range[0]
        np.testing.assert_array_equal(np.where(inside, steps, found.other), op.evaluate(site.sig, [x])[0])


def test_quantize_eight_at_a_time():
    """On a core with an FPU: ties, the last values that have 256ths, and in some groups those without an int32_t."""
    ends = np.array([2.0**22, 2.0**23, 2.0**31, 2.0**30], np.float32) / 4
    ends = np.concatenate([ends, np.nextafter(ends, np.float32(0))])
    x = np.concatenate([around_every_step(0.25), [ends], [-ends], around_every_step(0.25)[:, ::-1]], axis=1)
    cases = [
        (
            quantize,
            site_of(Quantize(dtype, ties=ties), [float_type(x.shape)], [None], TensorType(x.shape, dtype, quant)),
        )
        for dtype, zero_points in ((INT8, (-5, 127)), (UINT8, (131, 0)), (INT16, (0,)))
        for quant in (Quantization.per_tensor(0.25, zero_point) for zero_point in zero_points)
        for ties in ("away", "even")
    ]
    check_emulated(cases, values_of=lambda t, rng: x)


def test_quantize_in_place():
    check(quantize, site_of(Quantize(INT8), [float_type((3, 7))], [None], int8((), 0.3, 4)))


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=str)
def test_dequantize(dtype):
    x = TensorType((3, 17), dtype, Quantization.per_tensor(0.0123, 7))
    check(dequantize, site_of(Dequantize(), [x], [None], float_type(())))
    assert dequantize_table(site_of(Dequantize(), [x], [None], float_type(())), M7) is None
    long = TensorType((3, 171), dtype, Quantization.per_tensor(0.0123, 7))
    check(dequantize_table, site_of(Dequantize(), [long], [None], float_type(())))

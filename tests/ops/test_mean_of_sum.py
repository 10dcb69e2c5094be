"""MeanOfSum after SpatialSum equals the average it was made from, and its kernel computes it for every sum."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, int8, site_of
from tinycompile.dtypes import INT32
from tinycompile.ir import Signature, TensorType
from tinycompile.kernels.spatial_sum import mean_of_sum
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mean_of_sum import MeanOfSum

AVERAGES = [
    (AveragePool2D((5, 7), (1, 1)), 0.1, 3),
    (AveragePool2D((5, 7), (1, 1), clamp=(-20, 90)), 0.1, 3),
    (Mean((1, 2), True), 0.07, -5),
    (Mean((1, 2), False), 0.3, 12),
]


@pytest.mark.parametrize(("average", "scale", "zero_point"), AVERAGES)
def test_it_finishes_what_the_average_does(average, scale, zero_point):
    x = int8((1, 5, 7, 9), 0.1, 3)
    ((shape, _),) = average.infer([x])
    y = int8(shape, scale, zero_point)
    values = np.random.default_rng(0).integers(-128, 128, x.shape).astype(np.int8)
    sums = values.astype(np.int32).sum(axis=(1, 2), keepdims=True)
    sig = Signature((TensorType((1, 1, 1, 9), INT32),), (y,))
    (got,) = MeanOfSum(average, x).evaluate(sig, [sums])
    (expected,) = average.evaluate(Signature((x,), (y,)), [values])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("average", "scale", "zero_point"), [*AVERAGES, (Mean((1, 2), False), 0.05, 60), (Mean((1, 2), True), 1.0, 3)]
)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (1, 3), (96, 96)])
def test_kernel_for_sums_of_all_sizes(average, scale, zero_point, size):
    if isinstance(average, AveragePool2D):
        average = AveragePool2D(size, (1, 1), clamp=average.clamp)
    count = size[0] * size[1]
    sums = np.unique(np.linspace(-128 * count, 127 * count, 4001).astype(np.int32)).reshape(1, 1, 1, -1)
    x = int8((1, *size, sums.size), 0.1, 3)
    op = MeanOfSum(average, x)
    site = site_of(op, [TensorType(sums.shape, INT32)], [None], int8((), scale, zero_point))
    kernel = mean_of_sum(site, M7)
    (expected,) = op.evaluate(site.sig, [sums])
    np.testing.assert_array_equal(run_kernel(kernel, [sums], site.sig.output), expected)

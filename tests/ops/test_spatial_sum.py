"""SpatialSum: made by the compiler, so it is compared with NumPy, and its kernel with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.kernel_checks import check, int8, site_of
from tinycompile.dtypes import INT16, INT32
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.kernels.spatial_sum import spatial_sum, sum_of_sums
from tinycompile.ops.spatial_sum import SpatialSum


def test_it_sums_values_as_they_are():
    x = np.arange(-12, 12, dtype=np.int8).reshape(1, 2, 3, 4)
    sig = Signature((int8(x.shape, 0.1, 7),), (TensorType((1, 1, 1, 4), INT32),))
    (sums,) = SpatialSum().evaluate(sig, [x])
    assert sums.dtype == np.int32
    np.testing.assert_array_equal(sums.ravel(), x.reshape(6, 4).sum(axis=0))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 5, 4), (1, 7, 2, 7), (1, 20, 30, 5)])
def test_kernel(shape):
    check(spatial_sum, site_of(SpatialSum(), [int8(shape)], [None], TensorType((), INT32)))


@pytest.mark.parametrize("dtype", [INT16, INT32])
def test_sums_of_sums(dtype):
    site = site_of(SpatialSum(), [TensorType((1, 7, 2, 5), dtype)], [None], TensorType((), INT32))
    assert site.node.op.unsupported(site.sig) is None
    check(sum_of_sums, site)


def test_sums_have_no_scale():
    scaled = TensorType((1, 7, 2, 5), INT16, Quantization.per_tensor(0.1, 0))
    sig = Signature((scaled,), (TensorType((1, 1, 1, 5), INT32),))
    assert SpatialSum().unsupported(sig) == "sums have no scale"


def test_by_rows_it_adds():
    op = SpatialSum()
    sig = Signature((int8((1, 8, 2, 3)),), (TensorType((1, 1, 1, 3), INT32),))
    assert op.part(sig, (2, None)) == replace(op, adds=True)


def test_its_input_must_have_four_axes():
    with pytest.raises(ValueError, match="4-D"):
        SpatialSum().infer([int8((3, 4))])

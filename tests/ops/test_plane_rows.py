"""PlaneRows: some rows of a TRANSPOSE to channels last."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import check_if_taken, int8, site_of
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Signature, TensorType
from tinycompile.kernels.transposition import plane_rows, plane_rows_by_words
from tinycompile.ops.plane_rows import PlaneRows
from tinycompile.ops.transpose import Transpose


@pytest.mark.parametrize("dtype", [INT8, FLOAT32], ids=str)
def test_it_is_the_beginning_of_the_transpose(dtype):
    x = np.arange(2 * 5 * 3).reshape(1, 2, 5, 3).astype(dtype.carrier)
    whole, rows = (TensorType(shape, dtype) for shape in ((1, 5, 3, 2), (1, 2, 3, 2)))
    sig = Signature((TensorType(x.shape, dtype),), (whole,))
    op = Transpose((0, 2, 3, 1)).part(sig, (2, None))
    assert op == PlaneRows(2)
    (got,) = op.evaluate(Signature(sig.inputs, (rows,)), [x])
    (expected,) = Transpose((0, 2, 3, 1)).evaluate(sig, [x])
    np.testing.assert_array_equal(got, expected[:, :2])


@pytest.mark.parametrize("shape", [(1, 3, 8, 5), (1, 1, 4, 4), (1, 4, 6, 1)])
@pytest.mark.parametrize("rows", [1, 2])
def test_kernel(shape, rows):
    site = site_of(PlaneRows(rows), [int8(shape)], [None], int8(()))
    for factory in (plane_rows, plane_rows_by_words):
        check_if_taken(factory, site)

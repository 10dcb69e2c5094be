"""Matrix products of floats."""

from __future__ import annotations

import pytest

from tests.ops.floats import check_float, normal
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.kernels.float_ops import matmul
from tinycompile.ops.batch_matmul import BatchMatMul


@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 5)), ((1, 4), (4, 1))])
@pytest.mark.parametrize("constants", [(), (1,), (0,)])
def test_products(shapes, constants):
    check_float(matmul, BatchMatMul(), [normal(*shapes[0]), normal(*shapes[1], seed=1)], constants)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="multiplied"):
        BatchMatMul().infer([TensorType((3, 4), FLOAT32), TensorType((3, 4), FLOAT32)])

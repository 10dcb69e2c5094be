"""CUMSUM against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.ops.oracle import check, check_floats, full_range, quick, seeds
from tests.support.kernel_checks import int8
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.ir import Signature
from tinycompile.ops.cumulative_sum import CumulativeSum


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@quick
@given(seeds)
def test_random(dtype, exclusive, reverse, seed):
    """Floats as well bit by bit: the order of sums is given."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    shape = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 5)))
    x = rng.normal(0, 3, shape).astype(dtype) if dtype == "float32" else full_range(rng, shape, dtype)
    tensor, y = (b.tensor(shape, dtype=dtype) for _ in range(2))
    axis = int(rng.integers(-len(shape), len(shape)))
    operands = [tensor, b.constant(np.array(axis, np.int32))]
    b.op("CUMSUM", operands, [y], Exclusive=exclusive, Reverse=reverse)
    (check_floats if dtype == "float32" else check)(b, [y], {tensor: x})


def test_int8():
    """LiteRT has none."""
    assert "the input is int8" in str(CumulativeSum(0).unsupported(Signature((int8((3,)),), (int8((3,)),))))
    with pytest.raises(ValueError, match="no axis"):
        CumulativeSum(1).infer([int8((3,))])

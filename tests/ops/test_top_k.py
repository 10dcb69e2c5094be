"""TOPK_V2 against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.ops.oracle import check, check_floats, full_range, quick, seeds
from tests.support.kernel_checks import int8
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT32, INT64
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.top_k import TopK


def check_top_k(x, k, index="int32"):
    b = TfliteBuilder()
    quant = {"int8": (0.25, 3), "uint8": (0.25, 3), "int16": (0.25, 0)}.get(x.dtype.name, ())
    tensor, shape = b.tensor(x.shape, *quant, dtype=x.dtype.name), (*x.shape[:-1], k)
    values, positions = b.tensor(shape, *quant, dtype=x.dtype.name), b.tensor(shape, dtype=index)
    b.op("TOPK_V2", [tensor, b.constant(np.array(k, np.int32))], [values, positions]).version = 3
    run = check_floats if x.dtype == np.float32 else check
    run(b, [values, positions], {tensor: x})


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float32"])
@pytest.mark.parametrize("index", ["int32", "int16"])
@quick
@given(seeds)
def test_random(dtype, index, seed):
    """All values of the type or few: the first of equals first."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 12, rng.integers(1, 4)))
    few = rng.integers(0, 4, shape).astype(dtype)
    x = few if dtype == "float32" or rng.random() < 0.5 else full_range(rng, shape, dtype)
    check_top_k(x, int(rng.integers(1, shape[-1] + 1)), index)


def test_not_a_number():
    """Last."""
    check_top_k(np.array([[1, np.nan, 3, -np.inf, np.nan, 0]], np.float32), 6)


def test_refused():
    x = int8((2, 5))
    with pytest.raises(ValueError, match="6 elements"):
        TopK(6).infer([x])
    sig = Signature((x,), (int8((2, 3), 0.2), TensorType((2, 3), INT32)))
    assert "does not rescale" in str(TopK(3).unsupported(sig))
    sig = Signature((x,), (int8((2, 3)), TensorType((2, 3), INT64)))
    assert "positions is int64" in str(TopK(3, INT64).unsupported(sig))

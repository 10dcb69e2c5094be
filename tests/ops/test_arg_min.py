"""ARG_MIN against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.ops.oracle import quick, seeds
from tests.ops.reductions import check_arg_extreme
from tests.support.kernel_checks import int8
from tinycompile.dtypes import INT16, INT32
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.arg_min import ArgMin


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool", "float32"])
@pytest.mark.parametrize("index", ["int32", "int64"])
@quick
@given(seeds)
def test_random(dtype, index, seed):
    """Few different values: the first of equals."""
    check_arg_extreme("ARG_MIN", seed, dtype, index)


def test_not_a_number():
    """Never found, unless there is nothing else."""
    x = np.array([[np.nan, 1, 2], [2, np.nan, 1], [np.nan, np.nan, np.nan]], np.float32)
    check_arg_extreme("ARG_MIN", 0, "float32", "int32", x)


def test_refused():
    short = Signature((TensorType((3,), INT16),), (TensorType((), INT32),))
    assert "the input is int16" in str(ArgMin(0).unsupported(short))
    with pytest.raises(ValueError, match="no axis"):
        ArgMin(1).infer([int8((3,))])

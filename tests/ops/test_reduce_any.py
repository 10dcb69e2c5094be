"""REDUCE_ANY against LiteRT."""

from __future__ import annotations

from hypothesis import given

from tests.ops.oracle import seeds, thorough
from tests.ops.reductions import check_reduction
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.reduce_any import ReduceAny


@thorough
@given(seeds)
def test_random_axes(seed):
    check_reduction("REDUCE_ANY", seed, dtype="bool")


def test_numbers():
    sig = Signature((int8((2, 3)),), (int8((2,)),))
    assert "supported is bool" in str(ReduceAny((1,), False).unsupported(sig))

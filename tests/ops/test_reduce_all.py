"""REDUCE_ALL against LiteRT."""

from __future__ import annotations

from hypothesis import given

from tests.ops.oracle import seeds, thorough
from tests.ops.reductions import check_reduction
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.reduce_all import ReduceAll


@thorough
@given(seeds)
def test_random_axes(seed):
    check_reduction("REDUCE_ALL", seed, dtype="bool")


def test_numbers():
    sig = Signature((int8((2, 3)),), (int8((2,)),))
    assert "supported is bool" in str(ReduceAll((1,), False).unsupported(sig))

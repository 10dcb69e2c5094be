"""Or of the bits, by Python's integers."""

from __future__ import annotations

from tests.ops.plain_integers import check_pairs
from tinycompile.ops.bitwise_or import BitwiseOr


def test_integers():
    check_pairs(BitwiseOr(), lambda a, b, bits: a | b)

"""Shifts to the left, by Python's integers."""

from __future__ import annotations

from tests.ops.plain_integers import check_pairs
from tinycompile.ops.left_shift import LeftShift


def test_integers():
    check_pairs(LeftShift(), lambda a, b, bits: a << b if 0 <= b < bits else 0)

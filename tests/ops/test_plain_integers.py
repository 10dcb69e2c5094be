"""Operators that have integers without scales beside quantised ones, for all sizes."""

from __future__ import annotations

import pytest

from tests.ops.plain_integers import Function, check_pairs
from tinycompile.ir import Op
from tinycompile.ops.add import Add
from tinycompile.ops.div import Div
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.less import Less
from tinycompile.ops.mul import Mul
from tinycompile.ops.sub import Sub


def quotient(a: int, b: int, bits: int) -> int:
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


FUNCTIONS: list[tuple[Op, Function]] = [
    (Add(), lambda a, b, bits: a + b),
    (Div(), quotient),
    (FloorMod(), lambda a, b, bits: 0 if b == 0 else a % b),
    (Less(), lambda a, b, bits: int(a < b)),
    (Mul(), lambda a, b, bits: a * b),
    (Sub(), lambda a, b, bits: a - b),
]


@pytest.mark.parametrize(("op", "function"), FUNCTIONS, ids=lambda each: getattr(each, "kind", ""))
def test_pairs(op: Op, function: Function):
    check_pairs(op, function)

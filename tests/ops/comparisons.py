"""Comparisons of int8 operands, of any scales and of the same."""

from __future__ import annotations

from tests.ops.elementwise import Quant, every_pair


def check_comparison(kind: str, first: Quant, second: Quant) -> None:
    """All pairs of values, of two scales and zero points and of one."""
    every_pair(kind, [first, second], "bool")
    every_pair(kind, [first, first], "bool")

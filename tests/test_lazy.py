"""What prices rely on beside kernels: facts that are computed once, and a collector that looks rarely."""

from __future__ import annotations

import gc

import pytest

from tinycompile.garbage import MANY, collected_rarely
from tinycompile.lazy import lazy


class Square:
    def __init__(self, side: int) -> None:
        self.side, self.asked = side, 0

    @lazy
    def area(self) -> int:
        """Of the square."""
        self.asked += 1
        return self.side * self.side


def test_a_fact_is_computed_once():
    square, other = Square(3), Square(4)
    assert (square.area, square.area, other.area) == (9, 9, 16)
    assert square.asked == 1
    assert isinstance(Square.area, lazy) and Square.area.__doc__ == "Of the square."


def test_the_collector_is_as_it_was_afterwards():
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        with pytest.raises(ZeroDivisionError), collected_rarely():
            assert gc.get_threshold() == (MANY, 10, 10)
            raise ZeroDivisionError
        assert gc.get_threshold() == (700, 10, 10)
        gc.set_threshold(0, 10, 10)
        with collected_rarely():
            assert gc.get_threshold() == (0, 10, 10)
    finally:
        gc.set_threshold(*before)

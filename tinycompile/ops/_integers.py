"""Operators that integers without scales have as well (`_arithmetic/integers.py`)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from tinycompile.dtypes import INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, DType
from tinycompile.ir import Array
from tinycompile.ops._arithmetic import integers
from tinycompile.ops._elementwise import Binary, Elementwise
from tinycompile.ops._typed import Meanings, Typed

PLAIN = (INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64)
"""What ONNX has without scales."""


class IntegerUnary(Elementwise, Typed):
    """A function of one integer."""

    integer_types: ClassVar[tuple[DType, ...]] = (INT32, INT64)
    """Those that LiteRT has."""

    @abstractmethod
    def integer(self, x: Array) -> Array:
        """The function, of an array of any integer type."""

    def meanings(self) -> Meanings:
        return {**super().meanings(), **dict.fromkeys(self.integer_types, integers.meaning(self.integer))}

    def plain_meanings(self) -> Meanings:
        return dict.fromkeys(PLAIN, integers.meaning(self.integer))


class IntegerBinary(Binary):
    """A function of two integers. A fused activation's range says nothing about them: it is an operator of its own."""

    integer_types: ClassVar[tuple[DType, ...]] = (INT32, INT64)
    """Those that LiteRT has."""

    @abstractmethod
    def integer(self, a: Array, b: Array) -> Array:
        """The function, of two arrays of one integer type."""

    def meanings(self) -> Meanings:
        return {**super().meanings(), **dict.fromkeys(self.integer_types, integers.meaning(self.integer))}

    def plain_meanings(self) -> Meanings:
        return dict.fromkeys(PLAIN, integers.meaning(self.integer))

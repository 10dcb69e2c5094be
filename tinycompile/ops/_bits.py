"""What functions of the bits of two integers share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from tinycompile.dtypes import DType
from tinycompile.ir import Array
from tinycompile.ops._arithmetic import integers
from tinycompile.ops._elementwise import Binary
from tinycompile.ops._integers import PLAIN
from tinycompile.ops._typed import Meanings


class Bits(Binary):
    """A function of two integers as they are, whatever their scales."""

    types: ClassVar[tuple[DType, ...]] = PLAIN

    @abstractmethod
    def bits(self, a: Array, b: Array) -> Array:
        """The function, of two arrays of one integer type."""

    def meanings(self) -> Meanings:
        return {**super().meanings(), **dict.fromkeys(self.types, integers.meaning(self.bits))}

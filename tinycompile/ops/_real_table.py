"""Functions that LiteRT knows in floats only: of an int8 it looks the result up in a table filled at load time."""

from __future__ import annotations

from tinycompile.ir import Array, Signature
from tinycompile.ops._arithmetic import tflite
from tinycompile.ops._elementwise import RealUnary, Unary


class RealTable(Unary, RealUnary):
    """float32, and int8 by that function (`tflite.tabulated`)."""

    def of(self, sig: Signature, x: Array) -> Array:
        return tflite.tabulated(self.real, sig, x)

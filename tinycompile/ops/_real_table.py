"""Functions that LiteRT knows in floats only: of quantised values it looks them up in a table filled at load time."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._arithmetic import tflite, wide_table
from tinycompile.ops._arithmetic.wide import looked_up
from tinycompile.ops._elementwise import RealUnary, Unary, WideUnary


class RealTable(Unary, RealUnary):
    """float32, and int8 by that function (`tflite.tabulated`)."""

    def of(self, sig: Signature, x: Array) -> Array:
        return tflite.tabulated(self.real, sig, x)


class WideRealTable(RealTable, WideUnary):
    """And int16 by a table of its own, whose entries lie 128 steps apart."""

    def wide_table(self, sig: Signature) -> Array:
        """int16 (513,): the function where 512 intervals of the inputs begin, and at the end."""
        return wide_table.sampled(self.real, sig)

    def wide(self, sig: Signature, x: Array) -> Array:
        return looked_up(self.wide_table(sig), x.astype(np.int64)).astype(np.int16)

"""What MAXIMUM and MINIMUM share."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import DequantizedBinary, pair_of_integers
from tinycompile.ops._integers import IntegerBinary
from tinycompile.ops._typed import Meaning, Meanings


class Extremum(DequantizedBinary, IntegerBinary):
    """One of two elements. TFLite's rule for int8 and int16 compares and copies the bytes, whatever their scales."""

    def real(self, a: Array, b: Array) -> Array:
        return self.integer(a, b)

    def meanings(self) -> Meanings:
        own = {INT8: Meaning(self._bytes, pair_of_integers), INT16: Meaning(self._bytes, self.wide_refused)}
        own = own if self.rule == "tflite" else {}
        return {**super().meanings(), **own}

    def _bytes(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.integer(inputs[0], inputs[1]),)

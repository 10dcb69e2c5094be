"""Any function of one 8-bit value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import Float64Array
from tinycompile.ops._elementwise import INT8_VALUES, Unary


@dataclass(frozen=True)
class Lookup(Unary):
    """int8; whatever element-wise operators of a model stand between DequantizeLinear and QuantizeLinear, computed for
    all 256 values at compile time.

    Attributes:
        values: 256 bytes; entry `(uint8_t)q` is the result for the input q, an int8.
        function: names of the operators, for the report.
        reals: the function as float32 numbers, `Unary.between`, of which its gradient is made; none where it has none.
    """

    kind: ClassVar[str] = "lookup"

    values: bytes
    function: str = ""
    reals: bytes = field(default=b"", repr=False)

    def between(self, sig: Signature) -> Float64Array:
        if not self.reals:
            return super().between(sig)
        return np.frombuffer(self.reals, np.float32).astype(np.float64)

    def of(self, sig: Signature, x: Array) -> Array:
        return np.frombuffer(self.values, np.int8)[x.view(np.uint8)]

    def limits(self, sig: Signature) -> str | None:
        if len(self.values) != INT8_VALUES.size:
            return f"the table has {len(self.values)} entries instead of 256"
        return None

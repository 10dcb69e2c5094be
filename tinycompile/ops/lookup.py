"""Any function of one 8-bit value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import INT8_VALUES, Unary


@dataclass(frozen=True)
class Lookup(Unary):
    """int8; whatever element-wise operators of a model stand between DequantizeLinear and QuantizeLinear, computed for
    all 256 values at compile time.

    Attributes:
        values: 256 bytes; entry `(uint8_t)q` is the result for the input q, an int8.
        function: names of the operators, for the report.
    """

    kind: ClassVar[str] = "lookup"

    values: bytes
    function: str = ""

    def of(self, sig: Signature, x: Array) -> Array:
        return np.frombuffer(self.values, np.int8)[x.view(np.uint8)]

    def limits(self, sig: Signature) -> str | None:
        if len(self.values) != INT8_VALUES.size:
            return f"the table has {len(self.values)} entries instead of 256"
        return None

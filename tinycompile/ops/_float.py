"""What float32 operators share. Their C sums in another order than NumPy: equal to about 1e-6, not bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype

ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
}
"""What is computed in float32 of two operands, quantised or not."""


class FloatOp(Op):
    """float32 operands and result."""

    def unsupported(self, sig: Signature) -> str | None:
        types: Sequence[TensorType] = (*sig.inputs, *sig.outputs)
        return first_reason(wrong_dtype(t, "a tensor", FLOAT32) for t in types)

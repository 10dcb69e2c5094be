"""What float32 operators share. Their C sums in another order than NumPy: equal to about 1e-6, not bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.ir import Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype


class FloatOp(Op):
    """float32 operands and result."""

    def unsupported(self, sig: Signature) -> str | None:
        types: Sequence[TensorType] = (*sig.inputs, *sig.outputs)
        return first_reason(wrong_dtype(t, "a tensor", "float32") for t in types)

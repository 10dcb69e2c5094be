"""float32: the real number, rounded. Kernels sum in an order of their own: equal to about 1e-6, not bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Signature
from tinycompile.ops._rules import first_reason, wrong_dtype
from tinycompile.ops._typed import Meaning

UNCLAMPED = (-128, 127)
"""The range of an 8-bit output that no fused activation narrows."""


UNBOUNDED = (-np.inf, np.inf)
"""The range of a float output that no fused activation narrows."""


def meaning(function: Callable[..., Any], reason: str | None = None) -> Meaning:
    """A function of float32 arrays, one per operand, whose result is rounded to float32.

    Args:
        reason: why the operator can't have floats, whatever their shapes.
    """

    def evaluate(sig: Signature, inputs: Any) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(function(*inputs)).astype(np.float32),)

    return Meaning(evaluate, lambda sig: other_types(sig) or reason)


def other_types(sig: Signature) -> str | None:
    """Which of the operands and results is no float32 tensor; None if all are."""
    return first_reason(wrong_dtype(t, "a tensor", FLOAT32) for t in (*sig.inputs, *sig.outputs))


def fused(clamp: tuple[int, int]) -> str | None:
    """The range of an 8-bit output says nothing about floats: behind them an activation is an operator of its own."""
    return None if clamp == UNCLAMPED else f"a fused activation, the range {clamp}, of floats"

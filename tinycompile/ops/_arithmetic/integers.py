"""Integers without scales: indices, shapes, counts, masks. Results wrap as registers do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._rules import first_reason, wrong_dtype
from tinycompile.ops._typed import Meaning


def meaning(function: Callable[..., Any]) -> Meaning:
    """A function of arrays of one type, one per operand, whose result has it, too."""

    def evaluate(sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(function(*inputs)).astype(sig.output.dtype.carrier),)

    return Meaning(evaluate, _other_types)


def _other_types(sig: Signature) -> str | None:
    return first_reason(wrong_dtype(t, "a tensor", sig.input.dtype) for t in (*sig.inputs, *sig.outputs))


def quotient(a: Array, b: Array) -> Array:
    """a / b towards zero; 0 where b is 0, for which C has no rule."""
    divisor = np.where(b == 0, 1, b).astype(b.dtype)
    downwards = a // divisor
    rest = a - downwards * divisor
    return np.where(b == 0, 0, downwards + ((rest != 0) & ((a < 0) != (b < 0)))).astype(a.dtype)


def remainder(a: Array, b: Array) -> Array:
    """What that quotient leaves, of a's sign; 0 where b is 0."""
    return np.where(b == 0, 0, a - quotient(a, b) * b).astype(a.dtype)


def floored_quotient(a: Array, b: Array) -> Array:
    """a / b downwards; 0 where b is 0."""
    return np.where(b == 0, 0, a // np.where(b == 0, 1, b))


def floored_remainder(a: Array, b: Array) -> Array:
    """What the floored quotient leaves, of b's sign; 0 where b is 0."""
    return np.where(b == 0, 0, a % np.where(b == 0, 1, b))


def power(a: Array, b: Array) -> Array:
    """a to the b, b >= 0; modulo 2^n. 1 where b is negative."""
    result, base, exponent = np.ones(np.broadcast_shapes(a.shape, b.shape), a.dtype), a, np.maximum(b, 0)
    while exponent.any():
        result = np.where(exponent & 1, result * base, result)
        base, exponent = base * base, exponent >> 1
    return result

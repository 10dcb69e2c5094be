"""Products of two int8 matrices, of which both may be computed (onnx.ai, MatMul and Gemm)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tinycompile.frontend.onnx_quantize import quantized_constant, settled
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope
from tinycompile.frontend.onnx_values import Dequantized, Known, Placed, Product, Value, identity
from tinycompile.frontend.tflite_scope import Rejected

MOST_PRODUCTS = 2**31 // 255**2
"""Of two int8 that fit into an int32 together, whatever the zero points."""


def product_of(scope: Scope, first: Value, second: Value) -> Product:
    """first (..., m, k) times second (..., k, n); a vector is a row in front and a column behind.

    Raises:
        Rejected: an operand is neither dequantised nor a quantised constant.
    """
    a, b = _matrix(scope, first), _matrix(scope, second)
    shape = scope.shape()
    if a.shape[-1] > MOST_PRODUCTS:
        raise Rejected("its accumulator doesn't fit in 32 bits")
    if len(a.shape) == 1:
        a = scope.reshaped(a, (1, *a.shape), (1, *a.shape), identity(2))
    if len(b.shape) == 1:
        b = scope.reshaped(b, (*b.shape, 1), (*b.shape, 1), identity(2))
    (x, turned_x), (y, turned_y) = _plain_or_turned(scope, a), _plain_or_turned(scope, b)
    steps = [Fraction(scope.state.builder.types[at.name].scale) for at in (x, y)]
    return Product(x, y, turned_x, turned_y, steps[0] * steps[1], shape)


def _matrix(scope: Scope, value: Value) -> Placed:
    if isinstance(value, Dequantized):
        return scope.unfolded(settled(scope, value).at)
    if isinstance(value, Known):
        order = identity(len(value.shape))
        return Placed(quantized_constant(scope, value, len(value.shape), order), value.shape, order)
    raise Rejected(NOT_ROUNDED)


def _plain_or_turned(scope: Scope, at: Placed) -> tuple[Placed, bool]:
    """The tensor in ONNX's order, or with its last two axes in each other's place."""
    rank = len(at.shape)
    turned = (*range(rank - 2), rank - 1, rank - 2)
    return (at, True) if at.order == turned and not at.is_plain else (scope.plain(at), False)


def transposed(value: Value) -> Value:
    """A matrix with its axes in each other's place. Raises Rejected."""
    if not isinstance(value, Dequantized) or len(value.shape) != 2 or value.at.folded or value.channel is not None:
        raise Rejected("transA = 1")
    at = value.at
    return replace(value, at=Placed(at.name, at.shape[::-1], tuple(1 - axis for axis in at.order)))

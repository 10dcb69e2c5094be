"""Normalisations of rows with constant factors and summands: one operator, of int8 and of floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.frontend.onnx_float import float_importer, tensor
from tinycompile.frontend.onnx_quantize import settled
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope
from tinycompile.frontend.onnx_values import Dequantized, NormalisedRows, Placed, Real
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, TensorType
from tinycompile.ops.layer_normalization import LayerNormalization


@importer("LayerNormalization", "RMSNormalization")
def layer_normalization(scope: Scope) -> None:
    value = scope.value()
    if not isinstance(value, Dequantized):
        raise Rejected(NOT_ROUNDED)
    op, scale, bias = _read(scope, value.shape)
    value = settled(scope, value)
    scope.set(NormalisedRows(replace(value, at=_rows(scope, value.at)), op, scale, bias))


@float_importer("LayerNormalization", "RMSNormalization")
def _in_floats(scope: Scope) -> None:
    at = tensor(scope)
    op, scale, bias = _read(scope, at.shape)
    columns = TensorType(scale.shape, FLOAT32)
    names = [scope.state.value(f"{scope.name}_constant", columns, array) for array in (scale, bias)]
    at = _rows(scope, at)
    result = scope.state.emit(op, [at.name, *names], scope.name, None)
    scope.set(Real(replace(at, name=result)))


def _read(scope: Scope, shape: tuple[int, ...]) -> tuple[LayerNormalization, Array, Array]:
    """(operator, factors, summands) along the last axis."""
    axis = int(scope.attribute("axis", -1)) % len(shape)
    scope.ignore("stash_type")  # the type of the sums: float32, or float64
    if axis != len(shape) - 1:
        raise Rejected(f"axis {axis} of {len(shape)}, supported is the last one")
    scale = scope.constant(1, "a factor").astype(np.float32)
    bias = scope.constant(2, "a summand").astype(np.float32) if scope.has(2) else np.zeros_like(scale)
    if scale.shape != shape[-1:] or bias.shape != shape[-1:]:
        raise Rejected(f"factors {list(scale.shape)} and summands {list(bias.shape)} of rows of {shape[-1]}")
    epsilon = float(scope.attribute("epsilon", 1e-5))
    return LayerNormalization(epsilon, scope.kind == "LayerNormalization"), scale, bias


def _rows(scope: Scope, at: Placed) -> Placed:
    """With the last axis innermost."""
    at, last = scope.unfolded(at), len(at.shape) - 1
    return at if at.order[-1] == last else scope.ordered(at, (*(a for a in at.order if a != last), last))

"""Convolutions of volumes."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.frontend.tflite_activations import bounds_of, emit_activated
from tinycompile.frontend.tflite_options import schema_name
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import MAX_STEP, Rejected, Scope
from tinycompile.ir import TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype
from tinycompile.ops._spatial import same_padding
from tinycompile.ops._volume import Triple
from tinycompile.ops.conv3d import Conv3D
from tinycompile.ops.conv3d_transpose import Conv3DTranspose


@importer("CONV_3D", options=tflite.Conv3DOptions, versions=1)
def conv_3d(scope: Scope) -> None:
    """The file's weights are (kd, kh, kw, C_in, C_out)."""
    weights, kernel = _weights(scope, (4, 0, 1, 2, 3))
    shape = scope.input_type().shape
    if len(shape) != 5:
        raise scope.fail(f"the input has {len(shape)} dimensions instead of 5")
    stride, dilation = _steps(scope)
    padding = ((0, 0),) * 3
    if _is_same(scope):
        padding = tuple(same_padding(shape[i + 1], kernel[i], stride[i], dilation[i]) for i in range(3))
    scope.emit(Conv3D(stride, dilation, padding, bounds_of(scope)), [scope.input(), weights, *_bias(scope, 2)])


@importer("CONV_3D_TRANSPOSE", options=tflite.Conv3DOptions, versions=1)
def conv_3d_transpose(scope: Scope) -> None:
    """Operands: the output's shape, the weights (kd, kh, kw, C_out, C_in), the input, optionally the bias."""
    size = scope.integers(0, "the shape of the output")
    weights, kernel = _weights(scope, (3, 0, 1, 2, 4))
    x, channels = scope.input_type(2).shape, scope.input_type(1).shape[3]
    if len(size) != 5 or len(x) != 5 or (size[0], size[4]) != (x[0], channels):
        raise scope.fail(f"an output of the shape {size} from {list(x)} with weights for {channels} channels")
    stride, dilation = _steps(scope)
    cut, same = [0, 0, 0], _is_same(scope)
    for axis, (n, k, s, d) in enumerate(zip(size[1:4], kernel, stride, dilation, strict=True)):
        read = n if same else n - (k - 1) * d
        if -(-read // s) != x[1 + axis]:
            options = f"padding, stride_{'dhw'[axis]} and dilation_{'dhw'[axis]}_factor"
            outputs = f"{n} outputs along axis {1 + axis}"
            raise scope.fail(f"{outputs} don't come from {x[1 + axis]}, by its options {options}")
        cut[axis] = same_padding(n, k, s, d)[0] if same else 0
    op = Conv3DTranspose((size[1], size[2], size[3]), stride, dilation, (cut[0], cut[1], cut[2]))
    emit_activated(scope, op, [scope.input(2), weights, *_bias(scope, 3)])


def _weights(scope: Scope, order: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """The weights as the operators have them, (C_out, kd, kh, kw, C_in), and their kernel."""
    values, t = scope.constant(1, "the weight tensor"), scope.input_type(1)
    if len(t.shape) != 5 or 0 in t.shape:
        raise scope.fail(f"the weights have the shape {list(t.shape)}")
    reason = first_reason(wrong_dtype(x, "a tensor", FLOAT32) for x in (t, scope.output_type()))
    if reason is not None:
        raise Rejected(reason)
    turned = np.ascontiguousarray(values.transpose(order))
    return scope.derived("weights", TensorType(turned.shape, t.dtype), turned), t.shape[:3]


def _bias(scope: Scope, operand: int) -> list[str]:
    if not scope.has(operand):
        return []
    scope.constant(operand, "the bias")
    return [scope.input(operand)]


def _steps(scope: Scope) -> tuple[Triple, Triple]:
    """Stride and dilation."""
    return _triple(scope, "StrideD", "StrideH", "StrideW"), _triple(
        scope, "DilationDFactor", "DilationHFactor", "DilationWFactor"
    )


def _triple(scope: Scope, depth: str, rows: str, columns: str) -> Triple:
    found = scope.options.integer(depth)
    if found < 1:
        raise scope.fail(f"its option {schema_name(depth)} is {found}")
    if found > MAX_STEP:
        raise Rejected(f"its option {schema_name(depth)} is {found}, supported are {MAX_STEP}")
    return (found, *scope.options.positive(rows, columns))


def _is_same(scope: Scope) -> bool:
    scheme = scope.options.integer("Padding")
    if scheme not in (tflite.Padding.SAME, tflite.Padding.VALID):
        raise scope.fail(f"its option padding is {scheme}")
    return scheme == tflite.Padding.SAME

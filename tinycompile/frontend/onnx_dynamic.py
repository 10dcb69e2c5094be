"""Tensors that are quantised while the model runs, and products of integers whose zero points are computed."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.dtypes import INT8, INT32, UINT8, DType
from tinycompile.frontend.onnx_discrete import real
from tinycompile.frontend.onnx_float import float_importer
from tinycompile.frontend.onnx_linear import as_image, output_order, padding_of, spatial_attributes
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Discrete, Known, Placed, Quantized, Real, identity, shift_of
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.ops.conv_integer import ConvInteger
from tinycompile.ops.dynamic_quantize import DynamicQuantize
from tinycompile.ops.matmul_integer import MatMulInteger

_RAW = Quantization.per_tensor(1.0, -128)
"""Of int8 that are uint8 minus 128, as numbers."""


@importer("DynamicQuantizeLinear")
def _has_floats(scope: Scope) -> None:
    raise Rejected(
        "its range is known when the model runs; quantised statically (quantize_static of onnxruntime, or --calib on "
        "the float model) all layers compute in int8, which is faster"
    )


@float_importer("DynamicQuantizeLinear")
def dynamic_quantize_linear(scope: Scope) -> None:
    x = real(scope, scope.value())
    names = [name or scope.name for name in [*scope.node.output, "", ""][:3]]
    y, scale, zero_point = scope.state.emit_several(DynamicQuantize(), [x.name], names, [_RAW, None, _RAW])
    values = (
        Quantized(replace(x, name=y), UINT8),
        Real(Placed(scale, (), ())),
        Quantized(Placed(zero_point, (), ()), UINT8),
    )
    for output, value in enumerate(values[: len(scope.node.output)]):
        scope.set(value, output)


@importer("MatMulInteger")
def matmul_integer(scope: Scope) -> None:
    (a, of_a), (b, of_b) = _integers(scope, 0), _integers(scope, 1)
    shape = scope.shape()
    if len(a.shape) == 1:
        a = scope.reshaped(a, (1, *a.shape), (1, *a.shape), identity(2))
    if len(b.shape) == 1:
        b = scope.reshaped(b, (*b.shape, 1), (*b.shape, 1), identity(2))
    operands = [a.name, b.name, _zero_point(scope, 2, of_a), _zero_point(scope, 3, of_b)]
    result = scope.state.emit(MatMulInteger(), operands, scope.name, None)
    physical = scope.state.builder.types[result].shape
    at = scope.reshaped(Placed(result, physical, identity(len(physical))), shape, shape, identity(len(shape)))
    scope.set(Discrete(at, INT32))


@importer("ConvInteger")
def conv_integer(scope: Scope) -> None:
    x, weights = scope.value(), scope.constant(1, "the weight tensor")
    of_weights = _eight_bits(weights)
    if not isinstance(x, Quantized):
        raise Rejected("its operand is no integer tensor that is computed at run time")
    if weights.ndim not in (3, 4):
        raise Rejected(f"the weights have {weights.ndim} dimensions, supported are 1-D and 2-D convolutions")
    group, at = int(scope.attribute("group", 1)), x.at
    if group * weights.shape[1] != at.shape[1]:
        raise Rejected(f"its weights {list(weights.shape)} don't fit {at.shape[1]} channels and the attribute group")
    kernel, strides, dilations = spatial_attributes(scope, weights.shape[2:])
    pads = padding_of(scope, at.shape[2:], kernel, strides, dilations)
    if weights.ndim == 3:
        weights, strides, dilations, pads = weights[..., None], [*strides, 1], [*dilations, 1], [pads[0], 0, pads[1], 0]
    zero_point = scope.constant(3, "the zero point of the weights") if scope.has(3) else np.zeros((), weights.dtype)
    padding = pads[0], pads[2], pads[1], pads[3]
    op = ConvInteger((strides[0], strides[1]), (dilations[0], dilations[1]), padding)
    image, shape = as_image(scope, at), scope.shape()
    operands = [
        image.name,
        _constant(scope, weights.transpose(0, 2, 3, 1), of_weights),
        _zero_point(scope, 2, x.dtype),
        _constant(scope, zero_point, of_weights),
    ]
    found = Placed(scope.state.emit(op, operands, scope.name, None), shape, output_order(shape))
    scope.set(Discrete(scope.reshaped(found, found.physical_shape, shape, found.order), INT32))


def _integers(scope: Scope, operand: int) -> tuple[Placed, DType]:
    """An operand as an int8 tensor in ONNX's order, and its type there. Raises Rejected."""
    value = scope.value(operand)
    if isinstance(value, Known):
        dtype = _eight_bits(value.array)
        return Placed(_constant(scope, value.array, dtype), value.shape, identity(len(value.shape))), dtype
    if not isinstance(value, Quantized) or value.dtype not in (INT8, UINT8):
        raise Rejected("its operand is no tensor of 8-bit integers")
    return scope.plain(value.at), value.dtype


def _zero_point(scope: Scope, operand: int, dtype: DType) -> str:
    """The IR value of a zero point, which may be left out, of a tensor of this type."""
    if not scope.has(operand):
        return _constant(scope, np.zeros((), dtype.carrier), dtype)
    at, found = _integers(scope, operand)
    if found != dtype:
        raise Rejected(f"the zero point is {found}, its tensor {dtype}")
    size = prod(at.shape)
    return at.name if len(at.shape) < 2 else scope.reshaped(at, (size,), (size,), (0,)).name


def _eight_bits(array: Array) -> DType:
    dtype = DType.find(array.dtype)
    if dtype not in (INT8, UINT8):
        raise Rejected(f"a constant is {array.dtype.name}, supported are int8 and uint8")
    return dtype


def _constant(scope: Scope, array: Array, dtype: DType) -> str:
    """8-bit integers as a constant int8 tensor."""
    shifted = np.asarray((array.astype(np.int16) - shift_of(dtype)).astype(np.int8), order="C")
    return scope.state.value(f"{scope.name}_constant", TensorType(shifted.shape, INT8), shifted)

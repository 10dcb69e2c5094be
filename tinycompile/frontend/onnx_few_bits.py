"""Integers of 2 and 4 bits between QuantizeLinear and DequantizeLinear: int8 in the IR, within their type's range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8, INT16, INT32, UINT8, DType
from tinycompile.frontend.onnx_quantize import may_be_nan, quantized
from tinycompile.frontend.onnx_regions import clamped
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Discrete, Placed, Quantized, Value, shift_of
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Quantization, TensorType
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops.add import Add
from tinycompile.ops.cast import Cast
from tinycompile.ops.lookup import Lookup


def is_of_few_bits(dtype: DType | None) -> bool:
    """Whether it is an integer that shares its byte with others."""
    return dtype is not None and dtype.is_integer and dtype.is_sub_byte


def quantized_to_few_bits(scope: Scope, value: Value, quant: Quantization, dtype: DType) -> Placed:
    """What QuantizeLinear to 2 or 4 bits makes of a float value: a layer's bounds, where it is a layer's result."""
    scale, zero_point = quant.scale[0], int(quant.zero_point[0])
    low, high = (float((n - zero_point) * scale) for n in dtype.range)
    bounded = None if may_be_nan(scope, value) else clamped(scope, value, low, high)
    if bounded is not None:
        return quantized(scope, bounded, quant)
    return within_range(scope, quantized(scope, value, quant), dtype)


def within_range(scope: Scope, at: Placed, dtype: DType) -> Placed:
    """int8 values clamped to the range of a type."""
    table = np.clip(INT8_VALUES, *dtype.range).tobytes()
    quant = scope.state.type_of(at).quant
    return replace(at, name=scope.state.emit(Lookup(table, str(dtype)), [at.name], f"{scope.name}_{dtype}", quant))


def integer_operand(scope: Scope, operand: int = 0) -> Value:
    """What DequantizeLinear reads: integers that nothing quantised as well. Raises Rejected."""
    value = scope.stored(operand)
    if not isinstance(value, Discrete):
        return value
    state, at, name, dtype = scope.state, value.at, scope.node.input[operand], value.dtype
    if not dtype.is_integer or dtype.bits > 16:
        raise Rejected(f"its operand is {dtype}, supported are integers of 2, 4, 8 and 16 bits")
    if dtype.is_sub_byte:
        at = replace(at, name=state.emit(Cast(INT8), [at.name], f"{name}_int8", None))
    elif not dtype.is_signed:
        wide = state.emit(Cast(INT32), [at.name], f"{name}_int32", None)
        half = state.value(f"{name}_half", TensorType((1,), INT32), np.array([-shift_of(dtype)], np.int32))
        shifted = state.emit(Add(), [wide, half], f"{name}_shifted", None)
        signed = INT8 if dtype == UINT8 else INT16
        at = replace(at, name=state.emit(Cast(signed), [shifted], f"{name}_{signed}", None))
    return Quantized(at, dtype)
